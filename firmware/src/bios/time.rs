//! INT 08h and INT 1Ah: the timer's ticks and the real-time clock. IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Interrupt 1Ah - System-Timer and Real-Time Clock Services".

use super::bda;
use super::call::{Call, far};
use super::hardware::cmos::{self, address};
use super::hardware::{MICROSECOND, MILLISECOND, pic};
use super::int13::floppy;
use super::pci_bios;
use crate::platform::Platform;

/// Ticks of 65536 periods of the 8254 in a day.
pub(crate) const TICKS_PER_DAY: u32 = 0x1800B0;

/// INT 08h, IRQ 0.
pub(super) fn tick(call: &mut Call) {
    let io = &mut *call.io;
    let ticks = bda::TICKS.get(io).wrapping_add(1);
    if ticks >= TICKS_PER_DAY {
        bda::TICKS.set(io, 0);
        bda::MIDNIGHT.set(io, 1);
    } else {
        bda::TICKS.set(io, ticks);
    }
    floppy::count_motor_down(io);
}

/// INT 1Ah.
pub(super) fn service(call: &mut Call) {
    match call.regs.ah() {
        0x00 => {
            let io = &mut *call.io;
            let (ticks, midnight) = (bda::TICKS.get(io), bda::MIDNIGHT.get(io));
            bda::MIDNIGHT.set(io, 0);
            call.regs.set_al(midnight);
            call.regs.set_cx((ticks >> 16) as u16);
            call.regs.set_dx(ticks as u16);
            call.return_carry(false);
        }
        0x01 => {
            let ticks = u32::from(call.regs.cx()) << 16 | u32::from(call.regs.dx());
            bda::TICKS.set(call.io, ticks);
            bda::MIDNIGHT.set(call.io, 0);
            call.return_carry(false);
        }
        0x02 => {
            let [hours, minutes, seconds] =
                read_stable(call.io, [address::HOURS, address::MINUTES, address::SECONDS]);
            call.regs.set_cx(u16::from_be_bytes([hours, minutes]));
            let daylight = cmos::read(call.io, address::STATUS_B) & 1;
            call.regs.set_dx(u16::from_be_bytes([seconds, daylight]));
            call.return_carry(false);
        }
        0x03 => {
            let [hours, minutes] = call.regs.cx().to_be_bytes();
            let [seconds, daylight] = call.regs.dx().to_be_bytes();
            let values = [(address::HOURS, hours), (address::MINUTES, minutes), (address::SECONDS, seconds)];
            set_clock(call.io, &values, daylight & 1);
            call.return_carry(false);
        }
        0x04 => {
            let [century, year, month, day] =
                read_stable(call.io, [address::CENTURY, address::YEAR, address::MONTH, address::DAY]);
            call.regs.set_cx(u16::from_be_bytes([century, year]));
            call.regs.set_dx(u16::from_be_bytes([month, day]));
            call.return_carry(false);
        }
        0x05 => {
            let [century, year] = call.regs.cx().to_be_bytes();
            let [month, day] = call.regs.dx().to_be_bytes();
            let values = [
                (address::CENTURY, century),
                (address::YEAR, year),
                (address::MONTH, month),
                (address::DAY, day),
            ];
            let daylight = cmos::read(call.io, address::STATUS_B) & 1;
            set_clock(call.io, &values, daylight);
            call.return_carry(false);
        }
        0x06 => set_alarm(call),
        0x07 => {
            let status = cmos::read(call.io, address::STATUS_B);
            cmos::write(call.io, address::STATUS_B, status & !cmos::ALARM);
            call.return_carry(false);
        }
        pci_bios::FUNCTION => pci_bios::service(call),
        _ => call.return_carry(true),
    }
}

/// Reads registers of the clock at a moment at which they do not change.
pub(super) fn read_stable<const N: usize>(io: &mut dyn Platform, registers: [u8; N]) -> [u8; N] {
    // An update takes 2 ms and is announced before.
    io.wait_until(5 * MILLISECOND, 100 * MICROSECOND, |io| {
        cmos::read(io, address::STATUS_A) & cmos::UPDATE_IN_PROGRESS == 0
    });
    registers.map(|register| cmos::read(io, register))
}

/// Writes registers of the clock while it stands, and starts it in 24-hour BCD mode.
fn set_clock(io: &mut dyn Platform, values: &[(u8, u8)], daylight: u8) {
    const HOURS_24: u8 = 0x02;
    let interrupts = cmos::read(io, address::STATUS_B) & (cmos::PERIODIC | cmos::ALARM);
    cmos::write(io, address::STATUS_B, cmos::SET | interrupts | HOURS_24 | daylight);
    for (register, value) in values {
        cmos::write(io, *register, *value);
    }
    cmos::write(io, address::STATUS_B, interrupts | HOURS_24 | daylight);
}

fn set_alarm(call: &mut Call) {
    let status = cmos::read(call.io, address::STATUS_B);
    if status & cmos::ALARM != 0 {
        return call.return_carry(true);
    }
    let [hours, minutes] = call.regs.cx().to_be_bytes();
    let seconds = call.regs.dh();
    for (register, value) in
        [(address::HOURS_ALARM, hours), (address::MINUTES_ALARM, minutes), (address::SECONDS_ALARM, seconds)]
    {
        cmos::write(call.io, register, value);
    }
    cmos::write(call.io, address::STATUS_B, status | cmos::ALARM);
    pic::unmask(call.io, 8);
    call.return_carry(false);
}

/// INT 70h, IRQ 8: periodic interrupts count the wait of INT 15h AH=83h down; carry when the alarm went off.
pub(super) fn clock_interrupt(call: &mut Call) {
    /// The period of 1024 Hz, cut as IBM's BIOS has it.
    const PERIOD: u32 = 976;
    let io = &mut *call.io;
    let enabled = cmos::read(io, address::STATUS_B);
    let events = cmos::read(io, address::STATUS_C) & enabled;
    if events & cmos::PERIODIC != 0 && bda::WAIT_ACTIVE.get(io) & 1 != 0 {
        let left = bda::WAIT_MICROSECONDS.get(io).saturating_sub(PERIOD);
        bda::WAIT_MICROSECONDS.set(io, left);
        if left == 0 {
            cmos::write(io, address::STATUS_B, enabled & !cmos::PERIODIC);
            bda::WAIT_ACTIVE.set(io, 0);
            let at = far(bda::WAIT_FLAG_POINTER.get(io));
            let flag = io.get::<u8>(at);
            io.put(at, flag | 0x80);
        }
    }
    call.answer(events & cmos::ALARM != 0);
}

/// The ticks since midnight that the clock's time stands for.
pub(super) fn ticks_of_clock(io: &mut dyn Platform) -> u32 {
    let [hours, minutes, seconds] =
        read_stable(io, [address::HOURS, address::MINUTES, address::SECONDS]).map(from_bcd);
    let seconds = u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds);
    // 105/88 MHz, a tick each 65536 periods.
    (seconds * 105_000_000 / (88 * 65536)) as u32 % TICKS_PER_DAY
}

fn from_bcd(value: u8) -> u32 {
    u32::from(value >> 4) * 10 + u32::from(value & 0xF)
}

/// Starts the timer: channel 0 ticks 18.2 times a second, channel 1 refreshes memory, channel 2 is silent.
pub(super) fn initialise_timer(io: &mut dyn Platform) {
    const CONTROL: u16 = 0x43;
    for (control, port, count) in [(0x36, 0x40, 0u16), (0x54, 0x41, 18), (0xB6, 0x42, 1193)] {
        io.out8(CONTROL, control);
        let [low, high] = count.to_le_bytes();
        io.out8(port, low);
        // Channel 1 takes the low byte only.
        if control & 0x20 != 0 {
            io.out8(port, high);
        }
    }
    let speaker = io.in8(0x61) & !0b11;
    io.out8(0x61, speaker);
}
