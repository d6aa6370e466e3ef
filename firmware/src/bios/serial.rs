//! INT 14h: serial ports. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 14h - Asynchronous
//! Communications"; National Semiconductor 16550A data sheet.

use super::bda;
use super::call::Call;
use super::hardware::{MICROSECOND, MILLISECOND};
use crate::platform::Platform;

/// Offsets of registers.
mod register {
    pub const DATA: u16 = 0;
    pub const INTERRUPT_ENABLE: u16 = 1;
    pub const LINE_CONTROL: u16 = 3;
    pub const MODEM_CONTROL: u16 = 4;
    pub const LINE_STATUS: u16 = 5;
    pub const MODEM_STATUS: u16 = 6;
}

/// Line control: the divisor is visible.
const DIVISOR_ACCESS: u8 = 0x80;
/// Modem control: data terminal ready, request to send.
const DTR: u8 = 0x01;
const RTS: u8 = 0x02;
/// Line status.
const DATA_READY: u8 = 0x01;
const ERRORS: u8 = 0x1E;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// In AH, beside the line status.
const TIMED_OUT: u8 = 0x80;

/// What a unit of the timeouts in the BIOS data area is here.
const TIMEOUT_UNIT: u64 = 50 * MILLISECOND;

/// Divisors of 110, 150, 300, 600, 1200, 2400, 4800, 9600 and 19200 baud.
const DIVISORS: [u16; 9] = [1047, 768, 384, 192, 96, 48, 24, 12, 6];

/// Looks for serial ports at the usual places and notes them; gives how many there are.
pub(super) fn initialise(io: &mut dyn Platform) -> u16 {
    let mut count = 0;
    for port in [0x3F8u16, 0x2F8, 0x3E8, 0x2E8] {
        // The upper bits of this register are always zero; where there is no port, all are ones.
        let enable = port + register::INTERRUPT_ENABLE;
        io.out8(enable, 0x02);
        let there = io.in8(enable) == 0x02;
        io.out8(enable, 0);
        if there && io.in8(enable) == 0 {
            bda::SERIAL_PORTS.nth(count).set(io, port);
            bda::SERIAL_TIMEOUTS.nth(count).set(io, 1);
            count += 1;
        }
    }
    count
}

/// INT 14h.
pub(super) fn service(call: &mut Call) {
    let number = call.regs.dx();
    let port = if number < 4 { bda::SERIAL_PORTS.nth(number).get(call.io) } else { 0 };
    if port == 0 {
        return;
    }
    let timeout = TIMEOUT_UNIT * u64::from(bda::SERIAL_TIMEOUTS.nth(number).get(call.io));
    match call.regs.ah() {
        0x00 => {
            let parameters = call.regs.al();
            let line = parameters & 0x1F;
            program(call.io, port, DIVISORS[usize::from(parameters >> 5)], line);
            status(call, port);
        }
        0x01 => send(call, port, timeout),
        0x02 => receive(call, port, timeout),
        0x03 => status(call, port),
        0x04 => extended_program(call, port),
        0x05 => modem_control(call, port),
        _ => {}
    }
}

fn program(io: &mut dyn Platform, port: u16, divisor: u16, line: u8) {
    io.out8(port + register::LINE_CONTROL, line | DIVISOR_ACCESS);
    let [low, high] = divisor.to_le_bytes();
    io.out8(port + register::DATA, low);
    io.out8(port + register::INTERRUPT_ENABLE, high);
    io.out8(port + register::LINE_CONTROL, line);
    io.out8(port + register::INTERRUPT_ENABLE, 0);
}

fn status(call: &mut Call, port: u16) {
    let line = call.io.in8(port + register::LINE_STATUS);
    let modem = call.io.in8(port + register::MODEM_STATUS);
    call.regs.set_ax(u16::from_be_bytes([line, modem]));
}

fn send(call: &mut Call, port: u16, timeout: u64) {
    let io = &mut *call.io;
    io.out8(port + register::MODEM_CONTROL, DTR | RTS);
    let mut line = 0;
    let empty = io.wait_until(timeout, 50 * MICROSECOND, |io| {
        line = io.in8(port + register::LINE_STATUS);
        line & TRANSMITTER_EMPTY != 0
    });
    if empty {
        io.out8(port + register::DATA, call.regs.al());
    }
    call.regs.set_ah(if empty { line & !TIMED_OUT } else { line | TIMED_OUT });
}

fn receive(call: &mut Call, port: u16, timeout: u64) {
    let io = &mut *call.io;
    io.out8(port + register::MODEM_CONTROL, DTR);
    let mut line = 0;
    let there = io.wait_until(timeout, 50 * MICROSECOND, |io| {
        line = io.in8(port + register::LINE_STATUS);
        line & DATA_READY != 0
    });
    if there {
        let byte = io.in8(port + register::DATA);
        call.regs.set_ax(u16::from_be_bytes([line & ERRORS, byte]));
    } else {
        call.regs.set_ah(line | TIMED_OUT);
    }
}

/// AH=04h: break, parity, stop bits, word length and rate each in a register.
fn extended_program(call: &mut Call, port: u16) {
    let regs = &call.regs;
    // None, odd, even, stick odd, stick even.
    const PARITIES: [u8; 5] = [0x00, 0x08, 0x18, 0x28, 0x38];
    let parity = PARITIES.get(usize::from(regs.bh())).copied().unwrap_or(0);
    let line = regs.ch() & 3 | (regs.bl() & 1) << 2 | parity | (regs.al() & 1) << 6;
    if let Some(divisor) = DIVISORS.get(usize::from(regs.cl())) {
        program(call.io, port, *divisor, line);
    }
    status(call, port);
}

/// AH=05h: reads (AL=0) or writes (AL=1) the modem control register in BL.
fn modem_control(call: &mut Call, port: u16) {
    let at = port + register::MODEM_CONTROL;
    if call.regs.al() == 1 {
        call.io.out8(at, call.regs.bl());
        return status(call, port);
    }
    let control = call.io.in8(at);
    call.regs.set_bl(control);
}
