//! What an image is, by its content.

use super::qcow2::chain;
use super::{Format, ImageError, ImageOptions};
use idem86_devices::backend::{Medium, MediumError};
use idem86_devices::floppy;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What an image can be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A floppy of a format that drives know.
    Floppy,
    /// A hard disk.
    Disk,
    /// A CD-ROM.
    Cdrom,
    /// A Linux kernel (bzImage).
    Linux,
    /// A multiboot kernel.
    Multiboot,
}

/// Offset of an ISO 9660 volume descriptor's identifier. ECMA-119, "Standard Identifier".
const ISO_IDENTIFIER: u64 = 16 * 2048 + 1;
/// "HdrS" in a kernel's setup header. Linux, "The Linux/x86 Boot Protocol".
const LINUX_MAGIC: usize = 0x202;
/// A multiboot header lies within the first 8 KiB, aligned to 4. "Multiboot Specification", "The layout of
/// Multiboot header".
const MULTIBOOT_SEARCH: usize = 8192;
/// The multiboot header's magic number.
const MULTIBOOT_MAGIC: u32 = 0x1BAD_B002;

impl ImageKind {
    /// Looks into the file at `path`.
    pub fn of(path: &Path) -> Result<ImageKind, ImageError> {
        let io = |e| ImageError::io(path, e);
        let meta = std::fs::metadata(path).map_err(io)?;
        if !meta.is_file() {
            return Err(ImageError::NotAFile { path: path.into() });
        }
        if meta.len() == 0 {
            return Err(ImageError::Empty { path: path.into() });
        }
        let mut file = File::open(path).map_err(io)?;
        let mut head = Vec::new();
        (&mut file).take(MULTIBOOT_SEARCH as u64).read_to_end(&mut head).map_err(io)?;
        let mut identifier = Vec::new();
        file.seek(SeekFrom::Start(ISO_IDENTIFIER)).map_err(io)?;
        file.take(5).read_to_end(&mut identifier).map_err(io)?;
        Self::of_content(&head, &identifier, meta.len()).ok_or(ImageError::Unknown { path: path.into() })
    }

    /// Looks into the image that these options describe. A kernel is one only in a raw file.
    pub(super) fn of_image(options: &ImageOptions) -> Result<ImageKind, ImageError> {
        let path = &options.path;
        let format = match options.format {
            Some(format) => format,
            None => {
                let file = File::open(path).map_err(|e| ImageError::io(path, e))?;
                Format::of_file(&file).map_err(|e| ImageError::io(path, e))?
            }
        };
        if format == Format::Raw {
            return ImageKind::of(path);
        }
        let mut medium = chain::open(path, true, options.format, options.backing)?;
        match ImageKind::of_medium(medium.as_mut(), path)? {
            ImageKind::Linux | ImageKind::Multiboot => Err(ImageError::Unknown { path: path.into() }),
            kind => Ok(kind),
        }
    }

    /// Looks into `medium`, which messages call `name`.
    pub(super) fn of_medium(medium: &mut dyn Medium, name: &Path) -> Result<ImageKind, ImageError> {
        let size = medium.size();
        if size == 0 {
            return Err(ImageError::Empty { path: name.into() });
        }
        let mut read = |offset: u64, len: u64| {
            let mut bytes = vec![0; len.min(size.saturating_sub(offset)) as usize];
            let failed = |e: MediumError| ImageError::io(name, std::io::Error::other(e.to_string()));
            medium.read(offset.min(size), &mut bytes).map_err(failed)?;
            Ok(bytes)
        };
        let (head, identifier) = (read(0, MULTIBOOT_SEARCH as u64)?, read(ISO_IDENTIFIER, 5)?);
        Self::of_content(&head, &identifier, size).ok_or(ImageError::Unknown { path: name.into() })
    }

    fn of_content(head: &[u8], iso_identifier: &[u8], size: u64) -> Option<ImageKind> {
        if iso_identifier == b"CD001" {
            return Some(ImageKind::Cdrom);
        }
        if head.get(LINUX_MAGIC..LINUX_MAGIC + 4) == Some(b"HdrS") {
            return Some(ImageKind::Linux);
        }
        // A boot loader behind the boot sector may look like a multiboot kernel.
        let bootable = head.get(510..512) == Some(&[0x55, 0xAA]) && size.is_multiple_of(512);
        if !bootable && has_multiboot_header(head) {
            return Some(ImageKind::Multiboot);
        }
        if floppy::Format::of_size(size).is_some() {
            return Some(ImageKind::Floppy);
        }
        bootable.then_some(ImageKind::Disk)
    }

    /// Checks that an image of `size` bytes can be this kind of medium.
    pub(super) fn check_size(self, path: &Path, size: u64) -> Result<(), ImageError> {
        let sector = match self {
            ImageKind::Floppy if floppy::Format::of_size(size).is_some() => return Ok(()),
            ImageKind::Floppy => return Err(ImageError::NoFloppyFormat { path: path.into(), size }),
            ImageKind::Cdrom => 2048,
            _ => 512,
        };
        if size.is_multiple_of(sector) {
            Ok(())
        } else {
            Err(ImageError::OddSize { path: path.into(), size, sector })
        }
    }
}

fn has_multiboot_header(head: &[u8]) -> bool {
    let word = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    (0..head.len().saturating_sub(11)).step_by(4).any(|at| {
        word(at) == Some(MULTIBOOT_MAGIC)
            && matches!((word(at + 4), word(at + 8)), (Some(flags), Some(sum))
                if MULTIBOOT_MAGIC.wrapping_add(flags).wrapping_add(sum) == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_content() {
        let kind = |head: &[u8], iso: &[u8], size| ImageKind::of_content(head, iso, size);
        assert_eq!(kind(&[0; 512], b"CD001", 1 << 20), Some(ImageKind::Cdrom));
        assert_eq!(kind(&[0; 512], b"", 1_474_560), Some(ImageKind::Floppy));
        assert_eq!(kind(&[0; 512], b"", 10_000_000), None);
        let mut sector = [0; 1024];
        sector[510..512].copy_from_slice(&[0x55, 0xAA]);
        assert_eq!(kind(&sector, b"", 10 << 20), Some(ImageKind::Disk));
        sector[LINUX_MAGIC..LINUX_MAGIC + 4].copy_from_slice(b"HdrS");
        assert_eq!(kind(&sector, b"", 5_000_001), Some(ImageKind::Linux));
        let mut kernel = [0; 512];
        kernel[64..68].copy_from_slice(&MULTIBOOT_MAGIC.to_le_bytes());
        kernel[68..72].copy_from_slice(&3u32.to_le_bytes());
        assert_eq!(kind(&kernel, b"", 9_999), None, "the checksum is wrong");
        kernel[72..76].copy_from_slice(&0u32.wrapping_sub(MULTIBOOT_MAGIC + 3).to_le_bytes());
        assert_eq!(kind(&kernel, b"", 9_999), Some(ImageKind::Multiboot));
        kernel[510..512].copy_from_slice(&[0x55, 0xAA]);
        assert_eq!(kind(&kernel, b"", 10 << 20), Some(ImageKind::Disk), "GRUB in front of a partition");
    }
}
