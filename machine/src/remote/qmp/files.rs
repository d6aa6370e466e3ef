//! What the machine shows and holds, for people and in files.

use super::types::{Nothing, enumeration, object};
use super::{Refusal, Session};
use crate::remote::memory::{self, Space};
use crate::remote::monitor;
use std::path::{Path, PathBuf};

enumeration! {
    ImageFormat {
        Ppm "ppm",
        Png "png",
    }
}

object! {
    DumpScreen {
        "filename" filename: PathBuf,
        "format" format: Option<ImageFormat>,
        /// There is one screen.
        "device" device: Option<String>,
        "head" head: Option<u64>,
    }
}

/// `screendump`: the screen as a picture.
pub(super) fn dump_screen(session: &mut Session, arguments: DumpScreen) -> Result<Nothing, Refusal> {
    let DumpScreen { filename, format, device: _, head: _ } = arguments;
    // The protocol's default is PPM; who names a PNG file means one.
    let is_png = match format {
        Some(format) => format == ImageFormat::Png,
        None => filename.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")),
    };
    let picture = session.link.ask(|stand| stand.machine.screenshot())?;
    monitor::write_whole(&filename, |out| match is_png {
        true => picture.write_png(out).map_err(|e| e.to_string()),
        false => {
            let header = format!("P6\n{} {}\n255\n", picture.width(), picture.height());
            out.write_all(header.as_bytes())
                .and_then(|()| out.write_all(picture.rgb()))
                .map_err(|e| e.to_string())
        }
    })?;
    Ok(Nothing {})
}

object! {
    MonitorCommand {
        "command-line" line: String,
        /// There is one processor.
        "cpu-index" cpu: Option<u64>,
    }
}

pub(super) fn human_monitor_command(
    session: &mut Session,
    MonitorCommand { line, cpu: _ }: MonitorCommand,
) -> Result<String, Refusal> {
    let printed = session.link.ask(move |stand| monitor::execute(stand, &line))?;
    // The protocol has what people are told in the answer, errors too.
    let text = printed.unwrap_or_else(|problem| format!("{problem}\n"));
    Ok(text.replace('\n', "\r\n"))
}

object! {
    SaveLinear {
        "val" start: u64,
        "size" size: u64,
        "filename" filename: PathBuf,
        "cpu-index" cpu: Option<u64>,
    }
}

object! {
    SavePhysical {
        "val" start: u64,
        "size" size: u64,
        "filename" filename: PathBuf,
    }
}

/// `memsave`: memory as code sees it before paging.
pub(super) fn save_linear(session: &mut Session, arguments: SaveLinear) -> Result<Nothing, Refusal> {
    let SaveLinear { start, size, filename, cpu: _ } = arguments;
    save(session, Space::Linear, start, size, &filename)
}

/// `pmemsave`: memory as the bus sees it.
pub(super) fn save_physical(session: &mut Session, arguments: SavePhysical) -> Result<Nothing, Refusal> {
    let SavePhysical { start, size, filename } = arguments;
    save(session, Space::Physical, start, size, &filename)
}

/// Bytes that are saved at once while the guest stands still.
const PIECE: usize = 1 << 20;

fn save(session: &Session, space: Space, start: u64, size: u64, path: &Path) -> Result<Nothing, Refusal> {
    let space_end = if space == Space::Linear { 1 << 32 } else { 1 << 36 };
    let end = start.checked_add(size).filter(|end| *end <= space_end);
    let end = end.ok_or_else(|| Refusal::new("size: there is no such memory"))?;
    let link = session.link.clone();
    monitor::write_whole(path, move |out| {
        let mut at = start;
        while at < end {
            let len = (end - at).min(PIECE as u64) as usize;
            let bytes = link.ask(move |stand| {
                let mut bytes = vec![0; len];
                let read = memory::read(stand.machine, space, at, &mut bytes);
                if read < len { Err(at + read as u64) } else { Ok(bytes) }
            });
            let bytes = bytes.map_err(|gone| gone.to_string())?;
            let bytes = bytes.map_err(|at| format!("cannot read memory at {at:#x}"))?;
            out.write_all(&bytes).map_err(|e| e.to_string())?;
            at += len as u64;
        }
        Ok(())
    })?;
    Ok(Nothing {})
}
