//! INT 19h: from one boot device to the next. IBM PC/AT Technical Reference, "Bootstrap loader"; the order is the
//! setup's.

use super::bda::ebda;
use super::call::Call;
use super::hardware::cmos::{self, address};
use super::int13::{self, FIRST_DISK, Kind, el_torito, floppy, status};
use super::post::roms::{BootRom, boot_roms};
use super::rom;
use super::small::say;
use crate::platform::{Platform, Segment};

/// Where boot sectors are loaded and entered.
const BOOT_SECTOR: u32 = 0x7C00;
/// How often a sector is asked for. A floppy drive needs that to notice its diskette.
const ATTEMPTS: u8 = 4;

/// What can be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    /// An option ROM that loads something by itself.
    Rom(BootRom),
    Floppy,
    Disk,
    Cdrom,
}

impl Device {
    fn from_setup(number: u8) -> Option<Device> {
        match number {
            1 => Some(Device::Floppy),
            2 => Some(Device::Disk),
            3 => Some(Device::Cdrom),
            _ => None,
        }
    }

    fn exists(self, io: &mut dyn Platform) -> bool {
        match self {
            Device::Rom(_) => true,
            Device::Floppy => floppy::count(io) != 0,
            Device::Disk => int13::disk_count(io) != 0,
            Device::Cdrom => int13::all_drives(io).iter().any(|drive| drive.kind == Kind::Cdrom),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Device::Rom(_) => "option ROM",
            Device::Floppy => "floppy disk",
            Device::Disk => "hard disk",
            Device::Cdrom => "CD-ROM",
        }
    }

    fn drive(self) -> u8 {
        if self == Device::Disk { FIRST_DISK } else { 0 }
    }
}

/// What there is to boot: option ROMs, then devices in the order of the setup.
fn order(io: &mut dyn Platform) -> Vec<Device> {
    let first_second = cmos::read(io, address::BOOT_FIRST_SECOND);
    let third = cmos::read(io, address::BOOT_THIRD);
    let numbers = [first_second & 0xF, first_second >> 4, third >> 4];
    let mut devices: Vec<Device> = boot_roms(io).into_iter().map(Device::Rom).collect();
    for device in numbers.into_iter().filter_map(Device::from_setup) {
        if !devices.contains(&device) && device.exists(io) {
            devices.push(device);
        }
    }
    devices
}

fn present(io: &mut dyn Platform) -> Option<Device> {
    let tried = ebda::BOOT_TRIED.get(io);
    let index = usize::from(tried.checked_sub(1)?);
    order(io).get(index).copied()
}

/// The boot order begins anew.
pub(super) fn first(call: &mut Call) {
    ebda::BOOT_TRIED.set(call.io, 0);
}

/// Goes on to the next device and announces it, on a stack that what was started before may have left anywhere.
pub(super) fn next(call: &mut Call) {
    let tried = ebda::BOOT_TRIED.get(call.io).saturating_add(1);
    ebda::BOOT_TRIED.set(call.io, tried);
    ebda::BOOT_RETRIES.set(call.io, 0);
    call.regs.ss = Segment::real(0);
    call.regs.esp = BOOT_SECTOR;
    if let Some(device) = present(call.io) {
        say(call.io, &format!("Booting from {}\r\n", device.name()));
    }
}

/// Registers for INT 13h, or the start of what needs no boot sector.
pub(super) fn device(call: &mut Call) {
    let Some(device) = present(call.io) else {
        say(call.io, "\r\nNo bootable device. Ctrl-Alt-Del restarts the machine.\r\n");
        return call.answer_flags(true, false);
    };
    match device {
        Device::Rom(rom) => return start_rom(call, rom),
        Device::Cdrom => match el_torito::boot(call.io) {
            Ok(boot) => return start(call, boot.segment, 0, boot.number),
            Err(why) => {
                refuse(call, &why.to_string());
                return call.answer_flags(false, true);
            }
        },
        Device::Floppy | Device::Disk => {}
    }
    let regs = &mut call.regs;
    regs.set_ax(0x0201);
    regs.set_cx(0x0001);
    regs.set_dx(device.drive().into());
    regs.es = Segment::real(0);
    regs.set_bx(BOOT_SECTOR as u16);
    call.answer_flags(false, false);
}

/// INT 13h has read the boot sector, or not.
pub(super) fn sector_read(call: &mut Call) {
    let Some(device) = present(call.io) else { return call.answer(false) };
    if call.carry() {
        let retries = ebda::BOOT_RETRIES.get(call.io).saturating_add(1);
        ebda::BOOT_RETRIES.set(call.io, retries);
        let no_diskette = call.regs.ah() == status::TIMEOUT;
        if retries < ATTEMPTS && !no_diskette {
            return call.answer(true);
        }
        let why = if no_diskette { "no diskette" } else { "cannot be read" };
        refuse(call, why);
        return call.answer(false);
    }
    let mut sector = [0; 512];
    call.io.read(BOOT_SECTOR, &mut sector);
    let unsigned = device == Device::Floppy && cmos::read(call.io, address::BOOT_THIRD) & 1 != 0;
    if !is_bootable(&sector, unsigned) {
        refuse(call, "not a boot disk");
        return call.answer(false);
    }
    start(call, 0, BOOT_SECTOR as u16, device.drive());
}

/// Says why the present device is not booted from.
fn refuse(call: &mut Call, why: &str) {
    say(call.io, &format!("  {why}\r\n"));
}

/// Whether a sector is worth starting: it has the signature or, if that does not matter, is not blank.
fn is_bootable(sector: &[u8; 512], unsigned: bool) -> bool {
    let signed = sector[510..] == [0x55, 0xAA];
    let blank = sector.iter().all(|byte| *byte == sector[0]);
    signed || unsigned && !blank
}

/// Enters `segment:offset` with the drive's number in DL.
fn start(call: &mut Call, segment: u16, offset: u16, drive: u8) {
    let regs = &mut call.regs;
    regs.cs = Segment::real(segment);
    regs.eip = offset.into();
    regs.ss = Segment::real(0);
    regs.esp = BOOT_SECTOR;
    regs.ds = Segment::real(0);
    regs.es = Segment::real(0);
    (regs.eax, regs.ebx, regs.ecx, regs.edx) = (0xAA55, 0, 0, drive.into());
    (regs.esi, regs.edi, regs.ebp) = (0, 0, 0);
}

/// Calls a ROM that boots by itself. Should it return, the next device follows.
fn start_rom(call: &mut Call, rom: BootRom) {
    let return_to = u32::from(rom::SEGMENT) << 16 | u32::from(rom::BOOT_FAILED);
    start(call, rom.segment, rom.offset, 0);
    call.regs.set_ax(0);
    let stack = call.regs.sp().wrapping_sub(4);
    call.regs.set_sp(stack);
    let at = call.regs.ss.at(stack.into());
    call.put(at, return_to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_sectors() {
        let mut sector = [0; 512];
        assert!(!is_bootable(&sector, true), "blank");
        sector[0] = 0xEB;
        assert!(is_bootable(&sector, true) && !is_bootable(&sector, false));
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        assert!(is_bootable(&sector, false));
    }
}
