//! INT 13h for floppy drives. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h - Diskette".

mod controller;
mod media;
mod transfer;

pub(in crate::bios) use transfer::go_on;

use super::status;
use crate::bios::bda;
use crate::bios::call::{Call, far};
use crate::bios::hardware::{MILLISECOND, cmos, pic};
use crate::bios::rom;
use crate::platform::Platform;
use media::DriveType;

/// Interrupt vector that points at the parameter table.
const PARAMETER_VECTOR: u32 = 0x1E * 4;

/// Offsets in the parameter table.
mod parameter {
    pub const SPECIFY: u32 = 0;
    pub const MOTOR_OFF_TICKS: u32 = 2;
    pub const LAST_SECTOR: u32 = 4;
    pub const GAP: u32 = 5;
    pub const FORMAT_GAP: u32 = 7;
    pub const FORMAT_FILL: u32 = 8;
}

/// The parameter table: step rate and head times, motor off after 2 seconds, 512 bytes, 18 sectors, gaps, filler.
pub(in crate::bios) const PARAMETERS: [u8; 11] =
    [0xDF, 0x02, 0x25, 0x02, 18, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08];

fn parameter(io: &mut dyn Platform, at: u32) -> u8 {
    let table = far(io.get(PARAMETER_VECTOR));
    io.get(table.wrapping_add(at))
}

/// Resets the controller; gives whether it answers.
fn reset_controller(io: &mut dyn Platform) -> bool {
    let specify = [parameter(io, parameter::SPECIFY), parameter(io, parameter::SPECIFY + 1)];
    controller::reset(io, specify)
}

/// The type of `drive`, if there is such a drive.
fn drive_type(io: &mut dyn Platform, drive: u8) -> Option<DriveType> {
    DriveType::from_cmos(cmos::floppy_type(io, drive))
}

/// How many drives there are.
pub(in crate::bios) fn count(io: &mut dyn Platform) -> u8 {
    (0..2).filter(|drive| drive_type(io, *drive).is_some()).count() as u8
}

/// INT 13h with a drive below 80h in DL. The carry tells the ROM to call [`go_on`].
pub(super) fn service(call: &mut Call, drive: u8) {
    call.answer(false);
    match call.regs.ah() {
        0x00 => {
            let done = reset_controller(call.io);
            finish(call, if done { status::OK } else { status::CONTROLLER_FAILED });
        }
        0x01 => {
            let last = bda::FLOPPY_STATUS.get(call.io);
            finish(call, last);
        }
        0x02..=0x05 => transfer::begin(call, drive),
        0x08 => parameters(call, drive),
        0x15 => {
            let kind = drive_type(call.io, drive);
            call.regs.set_ah(match kind {
                None => 0,
                Some(kind) if !kind.has_change_line() => 1,
                Some(_) => 2,
            });
            call.return_carry(false);
        }
        0x16 => change_line(call, drive),
        0x17 => set_kind(call, drive),
        0x18 => set_media(call, drive),
        _ => finish(call, status::BAD_COMMAND),
    }
}

/// Ends a call with `result` in AH and the carry.
fn finish(call: &mut Call, result: u8) {
    bda::FLOPPY_STATUS.set(call.io, result);
    call.regs.set_ah(result);
    call.return_carry(result != status::OK);
}

/// AH=08h: the largest format of the drive.
fn parameters(call: &mut Call, drive: u8) {
    let count = count(call.io);
    call.regs.set_ax(0);
    call.regs.set_bx(0);
    call.regs.set_cx(0);
    call.regs.set_dx(count.into());
    call.regs.es = crate::platform::Segment::real(rom::SEGMENT);
    call.regs.set_di(rom::offset::DISKETTE_PARAMETERS);
    if let Some(kind) = drive_type(call.io, drive) {
        let (cylinders, sectors) = kind.largest_format();
        call.regs.set_bl(kind as u8);
        call.regs.set_cx(u16::from_be_bytes([cylinders - 1, sectors]));
        call.regs.set_dh(1);
    }
    bda::FLOPPY_STATUS.set(call.io, status::OK);
    call.return_carry(false);
}

/// AH=16h.
fn change_line(call: &mut Call, drive: u8) {
    let result = match drive_type(call.io, drive) {
        None => status::TIMEOUT,
        Some(kind) if !kind.has_change_line() => status::CHANGED,
        Some(_) => {
            controller::select(call.io, drive);
            release_motor(call.io);
            if controller::is_changed(call.io) { status::CHANGED } else { status::OK }
        }
    };
    finish(call, result);
}

/// AH=17h: the diskette and drive to be formatted, by number.
fn set_kind(call: &mut Call, drive: u8) {
    let Some(kind) = drive_type(call.io, drive) else { return finish(call, status::TIMEOUT) };
    // 360K in a 360K drive, 360K in a 1.2M drive, 1.2M, 720K.
    let rate = match call.regs.al() {
        1 | 4 => media::RATE_250,
        2 => media::RATE_300,
        3 => media::RATE_500,
        _ => return finish(call, status::BAD_COMMAND),
    };
    let known = media::establish(call.io, drive, kind, rate);
    finish(call, if known { status::OK } else { status::BAD_COMMAND });
}

/// AH=18h: the format of the diskette to be formatted, by its last cylinder and its sectors.
fn set_media(call: &mut Call, drive: u8) {
    let Some(kind) = drive_type(call.io, drive) else { return finish(call, status::TIMEOUT) };
    let cylinders = call.regs.ch().wrapping_add(1);
    let Some(rate) = kind.rate_for(cylinders, call.regs.cl() & 0x3F) else {
        return finish(call, status::NOT_THIS_MEDIA);
    };
    media::establish(call.io, drive, kind, rate);
    call.regs.es = crate::platform::Segment::real(rom::SEGMENT);
    call.regs.set_di(rom::offset::DISKETTE_PARAMETERS);
    finish(call, status::OK);
}

/// The operation is over: the motor goes off after a while.
fn release_motor(io: &mut dyn Platform) {
    let ticks = parameter(io, parameter::MOTOR_OFF_TICKS);
    bda::FLOPPY_MOTOR_TICKS.set(io, ticks);
}

/// A timer tick has passed.
pub(in crate::bios) fn count_motor_down(io: &mut dyn Platform) {
    let ticks = bda::FLOPPY_MOTOR_TICKS.get(io);
    if ticks != 0 {
        bda::FLOPPY_MOTOR_TICKS.set(io, ticks - 1);
        if ticks == 1 {
            controller::stop_motors(io);
        }
    }
}

/// INT 0Eh, IRQ 6.
pub(in crate::bios) fn interrupt(call: &mut Call) {
    bda::FLOPPY_CALIBRATED.change(call.io, 0, bda::FLOPPY_INTERRUPTED);
}

/// Resets the controller, and moves the heads so that the diskettes which are there do not look changed.
pub(in crate::bios) fn initialise(io: &mut dyn Platform) {
    const MOVES: u64 = 1000 * MILLISECOND;
    let drives = count(io);
    if drives == 0 {
        return;
    }
    reset_controller(io);
    for drive in 0..drives {
        controller::select(io, drive);
        for cylinder in [None, Some(1), None] {
            match cylinder {
                None => controller::begin_recalibration(io, drive),
                Some(cylinder) => controller::begin_seek(io, drive, 0, cylinder),
            };
            io.wait_until(MOVES, MILLISECOND / 4, controller::seek_ended);
            controller::sense_interrupt(io);
        }
        bda::FLOPPY_CYLINDER.nth(drive.into()).set(io, 0);
        bda::FLOPPY_CALIBRATED.change(io, 0, 1 << drive);
    }
    controller::stop_motors(io);
    bda::FLOPPY_MOTOR_TICKS.set(io, 0);
    pic::unmask(io, 6);
}
