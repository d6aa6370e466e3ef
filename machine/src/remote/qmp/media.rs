//! Drives, and changing what is in them.

use super::commands::attempt;
use super::types::{Nothing, enumeration, object};
use super::{Refusal, Session};
use crate::image::{Format, ImageOptions};
use crate::remote::drives;
use std::path::PathBuf;

object! {
    ImageInfo {
        "filename" filename: String,
        "format" format: String,
        "virtual-size" size: u64,
    }
}

enumeration! {
    DetectZeroes {
        Off "off",
    }
}

object! {
    CacheInfo {
        "writeback" writeback: bool,
        "direct" direct: bool,
        "no-flush" no_flush: bool,
    }
}

object! {
    /// A medium. Rates of 0 are not limited.
    BlockDeviceInfo {
        "file" file: String,
        "ro" read_only: bool,
        "drv" format: String,
        "encrypted" encrypted: bool,
        "image" image: ImageInfo,
        "backing_file_depth" backing_file_depth: u32,
        "detect_zeroes" detect_zeroes: DetectZeroes,
        "write_threshold" write_threshold: u64,
        "cache" cache: CacheInfo,
        "bps" bps: u64,
        "bps_rd" bps_rd: u64,
        "bps_wr" bps_wr: u64,
        "iops" iops: u64,
        "iops_rd" iops_rd: u64,
        "iops_wr" iops_wr: u64,
    }
}

impl From<drives::Inserted> for BlockDeviceInfo {
    fn from(medium: drives::Inserted) -> Self {
        let drives::Inserted { file, size, read_only, format } = medium;
        BlockDeviceInfo {
            file: file.clone(),
            read_only,
            format: format.into(),
            encrypted: false,
            image: ImageInfo { filename: file, format: format.into(), size },
            // Overlays are no images of their own.
            backing_file_depth: 0,
            detect_zeroes: DetectZeroes::Off,
            write_threshold: 0,
            // Files go through the host's cache, and are made durable when the guest asks for it.
            cache: CacheInfo { writeback: true, direct: false, no_flush: false },
            bps: 0,
            bps_rd: 0,
            bps_wr: 0,
            iops: 0,
            iops_rd: 0,
            iops_wr: 0,
        }
    }
}

object! {
    BlockInfo {
        "device" device: String,
        "type" kind: String,
        "removable" removable: bool,
        "locked" locked: bool,
        "tray_open" tray_open: Option<bool>,
        "inserted" inserted: Option<BlockDeviceInfo>,
    }
}

pub(super) fn query_block(session: &mut Session, _: Nothing) -> Result<Vec<BlockInfo>, Refusal> {
    let drives = session.link.ask(|stand| drives::list(stand.machine))?;
    let info = |drive: drives::Drive| BlockInfo {
        removable: drive.is_removable(),
        device: drive.name,
        // All that newer versions of the protocol say.
        kind: "unknown".into(),
        locked: drive.locked,
        tray_open: drive.tray_open,
        inserted: drive.medium.map(Into::into),
    };
    Ok(drives.into_iter().map(info).collect())
}

/// A drive by either of the protocol's names.
fn drive_name(device: Option<String>, id: Option<String>) -> Result<String, Refusal> {
    device.or(id).ok_or_else(|| Refusal::new("Parameter 'device' is missing"))
}

object! {
    Eject {
        "device" device: Option<String>,
        "id" id: Option<String>,
        /// Whatever the guest has locked.
        "force" force: Option<bool>,
    }
}

pub(super) fn eject(session: &mut Session, Eject { device, id, force }: Eject) -> Result<Nothing, Refusal> {
    let name = drive_name(device, id)?;
    let force = force.unwrap_or(false);
    attempt(&session.link, move |stand| drives::eject(stand.machine, &name, force))?;
    Ok(Nothing {})
}

enumeration! {
    ReadOnlyMode {
        Retain "retain",
        ReadOnly "read-only",
        ReadWrite "read-write",
    }
}

object! {
    ChangeMedium {
        "device" device: Option<String>,
        "id" id: Option<String>,
        "filename" filename: PathBuf,
        "format" format: Option<String>,
        "force" force: Option<bool>,
        "read-only-mode" mode: Option<ReadOnlyMode>,
    }
}

pub(super) fn change_medium(session: &mut Session, arguments: ChangeMedium) -> Result<Nothing, Refusal> {
    let ChangeMedium { device, id, filename, format, force, mode } = arguments;
    let unknown = |format: &str| Refusal::new(format!("images are raw or qcow2, not {format:?}"));
    let format = format.map(|format| Format::named(&format).ok_or_else(|| unknown(&format))).transpose()?;
    let name = drive_name(device, id)?;
    let read_only = mode == Some(ReadOnlyMode::ReadOnly);
    let force = force.unwrap_or(false);
    let image = ImageOptions { read_only, format, ..ImageOptions::new(filename) };
    attempt(&session.link, move |stand| drives::change(stand.machine, &name, image, force))?;
    Ok(Nothing {})
}
