//! What the user sees when the machine starts.

use crate::bios::bda::{self, ebda};
use crate::bios::hardware::cmos;
use crate::bios::int13::{self, Drive, Kind};
use crate::bios::memory_map::CONVENTIONAL_END;
use crate::platform::Platform;
use std::fmt::Write;

/// Where the text is put: memory that nobody uses yet. At most what is free below the stack.
const PLACE: u32 = 0x1000;
const ROOM: usize = 0x4000;

/// Lets the ROM print it.
pub(super) fn prepare(io: &mut dyn Platform) {
    let mut text = describe(io).replace('\n', "\r\n").into_bytes();
    text.truncate(ROOM);
    text.push(0);
    io.write(PLACE, &text);
    ebda::TEXT.set(io, PLACE);
}

fn describe(io: &mut dyn Platform) -> String {
    let mut text = format!("idem86 BIOS {}\n\n", env!("CARGO_PKG_VERSION"));
    let extended = (cmos::memory_size(io) >> 10) - 1024;
    line(&mut text, "Memory", &format!("{} KB base, {extended} KB extended", CONVENTIONAL_END >> 10));
    for (drive, letter) in [(0, 'A'), (1, 'B')] {
        let kind = match cmos::floppy_type(io, drive) {
            1 => "360K, 5.25\"",
            2 => "1.2M, 5.25\"",
            3 => "720K, 3.5\"",
            4 => "1.44M, 3.5\"",
            5 => "2.88M, 3.5\"",
            _ => continue,
        };
        line(&mut text, &format!("Floppy {letter}"), kind);
    }
    let mut disks = 0;
    for drive in int13::all_drives(io) {
        let model = drive.model(io);
        match drive.kind {
            Kind::Disk => {
                line(&mut text, &format!("Disk {disks}"), &format!("{}, {model}", size(&drive)));
                disks += 1;
            }
            Kind::Cdrom => line(&mut text, "CD-ROM", &model),
        }
    }
    let ports: Vec<String> = (0..4u16)
        .filter_map(|n| {
            let port = bda::SERIAL_PORTS.nth(n).get(io);
            (port != 0).then(|| format!("COM{} {port:X}h", n + 1))
        })
        .collect();
    line(&mut text, "Serial", &ports.join(", "));
    text.push('\n');
    text
}

fn line(text: &mut String, what: &str, how: &str) {
    writeln!(text, "{what:10}{how}").expect("a String takes everything");
}

/// The size of a disk, in the unit that gives at least two digits.
fn size(drive: &Drive) -> String {
    let kilobytes = drive.sectors / 2;
    match kilobytes {
        0..10_240 => format!("{kilobytes} KB"),
        10_240..10_485_760 => format!("{} MB", kilobytes >> 10),
        _ => format!("{} GB", kilobytes >> 20),
    }
}
