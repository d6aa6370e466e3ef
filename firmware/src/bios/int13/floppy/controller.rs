//! The 82077AA floppy controller and its DMA channel. Intel 82077AA data sheet, "Command Set/Descriptions"; Intel 8237A
//! data sheet.

use crate::bios::bda;
use crate::bios::hardware::{MICROSECOND, MILLISECOND};
use crate::platform::Platform;

const DIGITAL_OUTPUT: u16 = 0x3F2;
const MAIN_STATUS: u16 = 0x3F4;
const DATA: u16 = 0x3F5;
/// Digital input when read, configuration control (the data rate) when written.
const DIGITAL_INPUT: u16 = 0x3F7;

/// Digital output: no reset, interrupt and DMA let through; motor 0 above them.
const RUNNING: u8 = 0x0C;
const MOTOR_0: u8 = 0x10;

/// Main status.
const REQUEST: u8 = 0x80;
const TO_PROCESSOR: u8 = 0x40;
const BUSY: u8 = 0x10;
const DRIVES_BUSY: u8 = 0x0F;

/// Digital input: the diskette was changed.
const CHANGED: u8 = 0x80;

/// Longer than the controller needs to take a byte.
const BYTE_TIME: u64 = 2 * MILLISECOND;

/// Status registers 0 to 2, then cylinder, head, sector and size.
pub(super) type Answer = [u8; 7];

/// Selects `drive`, turns its motor on, and keeps it on until the operation has ended.
pub(super) fn select(io: &mut dyn Platform, drive: u8) {
    io.out8(DIGITAL_OUTPUT, RUNNING | drive | MOTOR_0 << drive);
    bda::FLOPPY_MOTORS.set(io, 1 << drive | drive << 4);
    bda::FLOPPY_MOTOR_TICKS.set(io, 0xFF);
}

/// Turns all motors off.
pub(super) fn stop_motors(io: &mut dyn Platform) {
    io.out8(DIGITAL_OUTPUT, RUNNING);
    bda::FLOPPY_MOTORS.change(io, 0x0F, 0);
}

/// Whether the selected drive's diskette was changed, or is not there.
pub(super) fn is_changed(io: &mut dyn Platform) -> bool {
    io.in8(DIGITAL_INPUT) & CHANGED != 0
}

/// Sets the data rate by its number: 0 is 500 kbit/s, 1 is 300, 2 is 250, 3 is 1000.
pub(super) fn set_rate(io: &mut dyn Platform, rate: u8) {
    io.out8(DIGITAL_INPUT, rate);
}

/// Sends a command. Gives whether the controller took it.
pub(super) fn send(io: &mut dyn Platform, bytes: &[u8]) -> bool {
    bda::FLOPPY_CALIBRATED.change(io, bda::FLOPPY_INTERRUPTED, 0);
    bytes.iter().all(|byte| {
        let ready = io.wait_until(BYTE_TIME, 10 * MICROSECOND, |io| {
            io.in8(MAIN_STATUS) & (REQUEST | TO_PROCESSOR) == REQUEST
        });
        if ready {
            io.out8(DATA, *byte);
        }
        ready
    })
}

fn receive(io: &mut dyn Platform) -> Option<u8> {
    let ready = io.wait_until(BYTE_TIME, 10 * MICROSECOND, |io| {
        io.in8(MAIN_STATUS) & (REQUEST | TO_PROCESSOR) == REQUEST | TO_PROCESSOR
    });
    ready.then(|| io.in8(DATA))
}

/// Whether a seek has ended.
pub(super) fn seek_ended(io: &mut dyn Platform) -> bool {
    io.in8(MAIN_STATUS) & (REQUEST | DRIVES_BUSY) == REQUEST
}

/// Whether the answer to a transfer is there.
pub(super) fn transfer_ended(io: &mut dyn Platform) -> bool {
    const ANSWERS: u8 = REQUEST | TO_PROCESSOR | BUSY;
    io.in8(MAIN_STATUS) & ANSWERS == ANSWERS
}

/// Takes the answer to a transfer.
pub(super) fn take_answer(io: &mut dyn Platform) -> Option<Answer> {
    let mut answer = Answer::default();
    for byte in &mut answer {
        *byte = receive(io)?;
    }
    for (n, byte) in (0..).zip(answer) {
        bda::FLOPPY_RESULT.nth(n).set(io, byte);
    }
    Some(answer)
}

/// Asks how a seek has ended: status register 0, and the cylinder.
pub(super) fn sense_interrupt(io: &mut dyn Platform) -> Option<(u8, u8)> {
    const SENSE_INTERRUPT: u8 = 0x08;
    if !send(io, &[SENSE_INTERRUPT]) {
        return None;
    }
    let status = receive(io)?;
    bda::FLOPPY_RESULT.set(io, status);
    // An invalid command has no cylinder.
    if status == 0x80 { None } else { Some((status, receive(io)?)) }
}

pub(super) fn begin_recalibration(io: &mut dyn Platform, drive: u8) -> bool {
    send(io, &[0x07, drive])
}

pub(super) fn begin_seek(io: &mut dyn Platform, drive: u8, head: u8, cylinder: u8) -> bool {
    send(io, &[0x0F, head << 2 | drive, cylinder])
}

/// Resets the controller and tells it the drives' times, the two bytes of the parameter table.
pub(super) fn reset(io: &mut dyn Platform, specify: [u8; 2]) -> bool {
    io.out8(DIGITAL_OUTPUT, RUNNING & !0x04);
    io.wait(10 * MICROSECOND);
    io.out8(DIGITAL_OUTPUT, RUNNING);
    bda::FLOPPY_CALIBRATED.set(io, 0);
    bda::FLOPPY_MOTORS.change(io, 0x0F, 0);
    io.wait_until(BYTE_TIME, 10 * MICROSECOND, |io| io.in8(MAIN_STATUS) & REQUEST != 0);
    for _ in 0..4 {
        sense_interrupt(io);
    }
    // Bit 0 of the second byte would turn DMA off.
    send(io, &[0x03, specify[0], specify[1] & !1])
}

/// What DMA does, as the mode register of channel 2 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Dma {
    /// Nothing is stored.
    Verify = 0x42,
    ToMemory = 0x46,
    FromMemory = 0x4A,
}

/// Prepares channel 2 for `length` bytes at physical address `address`, which cross no 64-KiB boundary.
pub(super) fn prepare_dma(io: &mut dyn Platform, dma: Dma, address: u32, length: u16) {
    const CHANNEL: u8 = 2;
    const MASK: u16 = 0x0A;
    const MODE: u16 = 0x0B;
    const CLEAR_FLIP_FLOP: u16 = 0x0C;
    const ADDRESS: u16 = 0x04;
    const COUNT: u16 = 0x05;
    const PAGE: u16 = 0x81;
    io.out8(MASK, 0x04 | CHANNEL);
    io.out8(CLEAR_FLIP_FLOP, 0);
    io.out8(MODE, dma as u8);
    let [low, high, page, _] = address.to_le_bytes();
    io.out8(ADDRESS, low);
    io.out8(ADDRESS, high);
    io.out8(PAGE, page);
    let [low, high] = length.wrapping_sub(1).to_le_bytes();
    io.out8(COUNT, low);
    io.out8(COUNT, high);
    io.out8(MASK, CHANNEL);
}
