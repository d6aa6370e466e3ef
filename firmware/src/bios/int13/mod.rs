//! INT 13h: which device a drive number means, and what all of them have in common. IBM PS/2 and PC BIOS Interface
//! Technical Reference, "Interrupt 13h"; Phoenix "Enhanced Disk Drive Specification" 3.0; Phoenix and IBM "El
//! Torito" Bootable CD-ROM Format Specification 1.0.

mod ata;
pub(super) mod cdrom;
mod chs;
mod drives;
mod edd;
pub(super) mod el_torito;
pub(super) mod floppy;

pub(super) use drives::{Drive, Kind, all as all_drives, initialise, install};

use super::bda;
use super::call::Call;
use crate::platform::Platform;

/// Answers in AH.
pub(super) mod status {
    pub const OK: u8 = 0x00;
    pub const BAD_COMMAND: u8 = 0x01;
    pub const NO_ADDRESS_MARK: u8 = 0x02;
    pub const WRITE_PROTECTED: u8 = 0x03;
    pub const SECTOR_NOT_FOUND: u8 = 0x04;
    pub const CHANGED: u8 = 0x06;
    pub const DMA_OVERRUN: u8 = 0x08;
    pub const DMA_BOUNDARY: u8 = 0x09;
    pub const NOT_THIS_MEDIA: u8 = 0x0C;
    pub const BAD_CRC: u8 = 0x10;
    pub const CONTROLLER_FAILED: u8 = 0x20;
    pub const NO_MEDIUM: u8 = 0x31;
    pub const SEEK_FAILED: u8 = 0x40;
    pub const TIMEOUT: u8 = 0x80;
    pub const NOT_READY: u8 = 0xAA;
    pub const NOT_REMOVABLE: u8 = 0xB2;
    pub const EJECT_FAILED: u8 = 0xB5;
    pub const WRITE_FAULT: u8 = 0xCC;
}

/// The first drive number of disks, and of CD-ROM drives.
pub(super) const FIRST_DISK: u8 = 0x80;
pub(super) const FIRST_CDROM: u8 = 0xE0;

/// What a drive number means.
enum Unit {
    Floppy(u8),
    Drive(Drive),
    /// The image that a CD was booted as.
    Emulated(el_torito::Emulation),
    None,
}

/// The floppy drive that number `number` means: an emulated one comes before the real ones.
fn floppy_number(io: &mut dyn Platform, number: u8) -> u8 {
    match el_torito::emulation(io) {
        Some(emulation) if emulation.number < FIRST_DISK => number.wrapping_sub(1),
        _ => number,
    }
}

fn unit(io: &mut dyn Platform, number: u8) -> Unit {
    let emulation = el_torito::emulation(io);
    let replaced = emulation.as_ref().map(|e| e.number);
    match number {
        _ if replaced == Some(number) => emulation.map_or(Unit::None, Unit::Emulated),
        0..FIRST_DISK => Unit::Floppy(floppy_number(io, number)),
        FIRST_CDROM.. => drives::nth(io, Kind::Cdrom, number - FIRST_CDROM).map_or(Unit::None, Unit::Drive),
        _ => {
            let before = u8::from(replaced == Some(FIRST_DISK));
            drives::nth(io, Kind::Disk, number - FIRST_DISK - before).map_or(Unit::None, Unit::Drive)
        }
    }
}

/// How many disks programs see.
pub(super) fn disk_count(io: &mut dyn Platform) -> u8 {
    let emulated = el_torito::emulation(io).is_some_and(|e| e.number == FIRST_DISK);
    let disks = drives::all(io).into_iter().filter(|drive| drive.kind == Kind::Disk).count() as u8;
    disks + u8::from(emulated)
}

/// INT 13h and INT 40h. The carry tells the ROM to go on with [`floppy::go_on`].
pub(super) fn service(call: &mut Call) {
    call.answer(false);
    let number = call.regs.dl();
    if el_torito::service(call) {
        return;
    }
    let result = match unit(call.io, number) {
        Unit::Floppy(drive) => return floppy::service(call, drive),
        Unit::Drive(drive) if (0x41..=0x49).contains(&call.regs.ah()) => edd::service(call, &drive),
        Unit::Drive(drive) if drive.kind == Kind::Disk => chs::disk(call, &drive),
        Unit::Emulated(emulation) => chs::emulated(call, &emulation),
        // A CD-ROM drive has no cylinders.
        Unit::Drive(_) => Err(status::BAD_COMMAND),
        Unit::None => chs::absent(call),
    };
    finish(call, result);
}

/// What a function answers: done, with AH as it is; done, with zero in AH; or an error for AH.
enum Done {
    AhIsSet,
    Ok,
}

type Answer = Result<Done, u8>;

fn finish(call: &mut Call, answer: Answer) {
    let code = match answer {
        Ok(Done::AhIsSet) => {
            bda::DISK_STATUS.set(call.io, status::OK);
            return call.return_carry(false);
        }
        Ok(Done::Ok) => status::OK,
        Err(code) => code,
    };
    bda::DISK_STATUS.set(call.io, code);
    call.regs.set_ah(code);
    call.return_carry(code != status::OK);
}

/// INT 76h and 77h, IRQ 14 and 15.
pub(super) fn disk_interrupt(call: &mut Call) {
    bda::DISK_INTERRUPTED.set(call.io, 0xFF);
}
