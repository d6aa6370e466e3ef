//! INT 16h: keys from the buffer that INT 09h fills. IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Interrupt 16h - Keyboard".

pub(super) mod interrupt;
mod keys;

use super::bda::{self, ebda};
use super::call::Call;
use super::hardware::MICROSECOND;
use crate::platform::Platform;

/// INT 16h. The carry tells the ROM to wait for a key.
pub(super) fn service(call: &mut Call) {
    call.answer(false);
    match call.regs.ah() {
        0x00 => read(call, keys::standard),
        0x01 => look(call, keys::standard),
        0x02 => {
            let flags = bda::KEYBOARD_FLAGS.get(call.io);
            call.regs.set_al(flags);
        }
        // Typematic rate: the keyboard's own is kept.
        0x03 => {}
        0x05 => {
            let stored = store(call.io, call.regs.cx());
            call.regs.set_al(u8::from(!stored));
        }
        // Functions: 05h and 10h to 12h, and typematic rate by 0305h.
        0x09 => call.regs.set_al(0b0010_0110),
        0x0A => call.regs.set_bx(0x41AB),
        0x10 => read(call, |code| Some(keys::enhanced(code))),
        0x11 => look(call, |code| Some(keys::enhanced(code))),
        0x12 => extended_shift_state(call),
        // Asked by programs that want to know of 10h to 12h: they are there, as any answer up to 80h says.
        0x92 => call.regs.set_ah(0x80),
        _ => {}
    }
}

/// An empty ring in the data area.
pub(super) fn initialise(io: &mut dyn Platform) {
    const BYTES: u16 = 32;
    let start = bda::KEY_BUFFER.offset() as u16;
    bda::KEY_BUFFER_START.set(io, start);
    bda::KEY_BUFFER_END.set(io, start + BYTES);
    clear(io);
}

/// The next key's code at the head of the ring, with what to take away for it, if there is one.
fn peek(io: &mut dyn Platform) -> Option<(u16, u16)> {
    let head = bda::KEY_HEAD.get(io);
    if head == bda::KEY_TAIL.get(io) {
        return None;
    }
    let code = io.get(bda::BASE + u32::from(head));
    Some((code, following(io, head)))
}

/// The place in the ring behind `place`.
fn following(io: &mut dyn Platform, place: u16) -> u16 {
    let next = place.wrapping_add(2);
    if next == bda::KEY_BUFFER_END.get(io) { bda::KEY_BUFFER_START.get(io) } else { next }
}

/// Puts a code into the ring, unless it is full.
fn store(io: &mut dyn Platform, code: u16) -> bool {
    let tail = bda::KEY_TAIL.get(io);
    let next = following(io, tail);
    if next == bda::KEY_HEAD.get(io) {
        return false;
    }
    io.put(bda::BASE + u32::from(tail), code);
    bda::KEY_TAIL.set(io, next);
    true
}

/// Empties the ring.
fn clear(io: &mut dyn Platform) {
    let start = bda::KEY_BUFFER_START.get(io);
    bda::KEY_HEAD.set(io, start);
    bda::KEY_TAIL.set(io, start);
}

/// The next key that `give` lets through; others are taken out.
fn next(io: &mut dyn Platform, give: impl Fn(u16) -> Option<u16>) -> Option<(u16, u16)> {
    // A ring that a program has moved may be as long as the segment, or never meet its end.
    for _ in 0..0x8000 {
        let (code, after) = peek(io)?;
        if let Some(code) = give(code) {
            return Some((code, after));
        }
        bda::KEY_HEAD.set(io, after);
    }
    None
}

fn read(call: &mut Call, give: impl Fn(u16) -> Option<u16>) {
    match next(call.io, give) {
        Some((code, after)) => {
            bda::KEY_HEAD.set(call.io, after);
            call.regs.set_ax(code);
        }
        None => call.answer(true),
    }
}

fn look(call: &mut Call, give: impl Fn(u16) -> Option<u16>) {
    let found = next(call.io, give);
    call.return_zero(found.is_none());
    match found {
        Some((code, _)) => call.regs.set_ax(code),
        None => be_slow_if_idle(call.io),
    }
}

/// A program that does nothing but ask for a key is answered as slowly as by a PC of its time, so that it does not ask
/// a million times between two ticks of the timer.
fn be_slow_if_idle(io: &mut dyn Platform) {
    /// Who does something between two questions takes longer.
    const QUICK: u64 = 5 * MICROSECOND;
    const SLOWLY: u64 = 20 * MICROSECOND;
    const OFTEN: u8 = 16;
    let since = io.now().saturating_sub(ebda::KEY_ASKED.get(io));
    let count = if since <= QUICK { ebda::KEY_ASKED_COUNT.get(io).saturating_add(1) } else { 0 };
    ebda::KEY_ASKED_COUNT.set(io, count);
    if count >= OFTEN {
        io.wait(SLOWLY);
    }
    let now = io.now();
    ebda::KEY_ASKED.set(io, now);
}

/// AH=12h: the shift state in AL; which of the Ctrl, Alt and lock keys are down in AH.
fn extended_shift_state(call: &mut Call) {
    let flags = bda::KEYBOARD_FLAGS.get(call.io);
    let flags_2 = bda::KEYBOARD_FLAGS_2.get(call.io);
    let flags_3 = bda::KEYBOARD_FLAGS_3.get(call.io);
    // Left Ctrl and Alt stay; right ones come beside them; SysRq goes to bit 7.
    let keys = flags_2 & 0b0111_0011 | flags_3 & 0b0000_1100 | (flags_2 & 0b0000_0100) << 5;
    call.regs.set_ax(u16::from(keys) << 8 | u16::from(flags));
}
