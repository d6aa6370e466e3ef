//! INT 09h: bytes from the keyboard become keys. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 09h
//! - Keyboard".

use super::keys::{self, Key, Lock, NONE};
use super::{clear, store};
use crate::bios::bda;
use crate::bios::call::Call;
use crate::bios::hardware::keyboard_controller as controller;
use crate::bios::rom::KeyAction;
use crate::platform::Platform;

/// Bits of [`bda::KEYBOARD_FLAGS`].
mod flag {
    pub const RIGHT_SHIFT: u8 = 1 << 0;
    pub const LEFT_SHIFT: u8 = 1 << 1;
    pub const CONTROL: u8 = 1 << 2;
    pub const ALT: u8 = 1 << 3;
    pub const SCROLL_LOCK: u8 = 1 << 4;
    pub const NUM_LOCK: u8 = 1 << 5;
    pub const CAPS_LOCK: u8 = 1 << 6;
    pub const INSERT: u8 = 1 << 7;
}

/// Bits of [`bda::KEYBOARD_FLAGS_2`]: keys that are down. Those of locks are where the locks are in the other.
mod down {
    pub const LEFT_CONTROL: u8 = 1 << 0;
    pub const LEFT_ALT: u8 = 1 << 1;
    pub const SYSRQ: u8 = 1 << 2;
}

/// Bits of [`bda::KEYBOARD_FLAGS_3`].
mod prefix {
    pub const E1: u8 = 1 << 0;
    pub const E0: u8 = 1 << 1;
    pub const RIGHT_CONTROL: u8 = 1 << 2;
    pub const RIGHT_ALT: u8 = 1 << 3;
}

/// Bits of [`bda::KEYBOARD_LEDS`].
mod leds {
    pub const STATE: u8 = 0b111;
    /// The command to set them was sent; their state follows.
    pub const COMMANDED: u8 = 1 << 6;
}

/// The byte that raised the interrupt goes to AL; carry if there is none for programs.
pub(in crate::bios) fn take_byte(call: &mut Call) {
    let io = &mut *call.io;
    let status = io.in8(controller::STATUS);
    if status & (controller::OUTPUT_FULL | controller::FROM_MOUSE) != controller::OUTPUT_FULL {
        return call.answer(true);
    }
    let byte = io.in8(controller::DATA);
    if byte == controller::ACK && bda::KEYBOARD_LEDS.get(io) & leds::COMMANDED != 0 {
        bda::KEYBOARD_LEDS.change(io, leds::COMMANDED, 0);
        let state = bda::KEYBOARD_LEDS.get(io) & leds::STATE;
        controller::send_data(io, state);
        return call.answer(true);
    }
    // Acknowledgements, requests to resend, and overrun are no keys.
    let answer = matches!(byte, 0x00 | controller::ACK | 0xFE | 0xFF);
    call.regs.set_al(byte);
    call.answer(answer);
}

/// What the byte in AL means: goes to the buffer, to the flags, or to AL as an action for the ROM.
pub(in crate::bios) fn understand(call: &mut Call) {
    let action = key(call.io, call.regs.al());
    call.regs.set_al(action as u8);
}

fn key(io: &mut dyn Platform, byte: u8) -> KeyAction {
    const E0: u8 = 0xE0;
    const E1: u8 = 0xE1;
    let prefixes = bda::KEYBOARD_FLAGS_3.get(io) & (prefix::E0 | prefix::E1);
    let (scan, pressed) = (byte & 0x7F, byte & 0x80 == 0);
    match byte {
        E0 => {
            bda::KEYBOARD_FLAGS_3.change(io, 0, prefix::E0);
            return KeyAction::None;
        }
        E1 => {
            bda::KEYBOARD_FLAGS_3.change(io, 0, prefix::E1);
            return KeyAction::None;
        }
        // Pause is E1 1D 45 E1 9D C5: the prefix holds for two bytes.
        _ if prefixes & prefix::E1 != 0 && scan == 0x1D => return KeyAction::None,
        _ => bda::KEYBOARD_FLAGS_3.change(io, prefix::E0 | prefix::E1, 0),
    }
    if prefixes & prefix::E1 != 0 {
        return if byte == 0x45 { pause(io) } else { KeyAction::None };
    }
    let extended = prefixes & prefix::E0 != 0;
    match (scan, extended) {
        // Shifts that the keyboard puts around its grey keys so that they mean the same in every state.
        (0x2A | 0x36, true) => KeyAction::None,
        (0x2A, false) => modifier(io, pressed, flag::LEFT_SHIFT),
        (0x36, false) => modifier(io, pressed, flag::RIGHT_SHIFT),
        (0x1D, _) => control(io, pressed, extended),
        (0x38, _) => alt(io, pressed, extended),
        (0x3A, false) => lock(io, pressed, flag::CAPS_LOCK),
        (0x45, false) => lock(io, pressed, flag::NUM_LOCK),
        (0x46, false) if bda::KEYBOARD_FLAGS.get(io) & flag::CONTROL == 0 => {
            lock(io, pressed, flag::SCROLL_LOCK)
        }
        (0x46, _) if pressed => control_break(io),
        (0x37, true) if pressed => KeyAction::PrintScreen,
        (0x54, false) => sysrq(io, pressed),
        (0x52, _) if !pressed => {
            bda::KEYBOARD_FLAGS_2.change(io, flag::INSERT, 0);
            KeyAction::None
        }
        _ if pressed => press(io, scan, extended),
        _ => KeyAction::None,
    }
}

fn modifier(io: &mut dyn Platform, pressed: bool, bit: u8) -> KeyAction {
    let (clear, set) = if pressed { (0, bit) } else { (bit, 0) };
    bda::KEYBOARD_FLAGS.change(io, clear, set);
    KeyAction::None
}

/// Notes one of the two Ctrl or Alt keys; gives whether any of the two is down.
fn note_side(io: &mut dyn Platform, pressed: bool, right: bool, left_bit: u8, right_bit: u8) -> bool {
    let (field, bit) =
        if right { (bda::KEYBOARD_FLAGS_3, right_bit) } else { (bda::KEYBOARD_FLAGS_2, left_bit) };
    let (clear, set) = if pressed { (0, bit) } else { (bit, 0) };
    field.change(io, clear, set);
    bda::KEYBOARD_FLAGS_2.get(io) & left_bit != 0 || bda::KEYBOARD_FLAGS_3.get(io) & right_bit != 0
}

fn control(io: &mut dyn Platform, pressed: bool, right: bool) -> KeyAction {
    let any = note_side(io, pressed, right, down::LEFT_CONTROL, prefix::RIGHT_CONTROL);
    modifier(io, any, flag::CONTROL)
}

/// Alt: its release ends a character that was typed by its number.
fn alt(io: &mut dyn Platform, pressed: bool, right: bool) -> KeyAction {
    let any = note_side(io, pressed, right, down::LEFT_ALT, prefix::RIGHT_ALT);
    if !any {
        let code = bda::ALT_CODE.get(io);
        bda::ALT_CODE.set(io, 0);
        if code != 0 {
            store(io, code.into());
        }
    }
    modifier(io, any, flag::ALT)
}

/// A lock changes when its key goes down, and not again until it was up.
fn lock(io: &mut dyn Platform, pressed: bool, bit: u8) -> KeyAction {
    if !pressed {
        bda::KEYBOARD_FLAGS_2.change(io, bit, 0);
        return KeyAction::None;
    }
    if bda::KEYBOARD_FLAGS_2.get(io) & bit == 0 {
        bda::KEYBOARD_FLAGS_2.change(io, 0, bit);
        let state = bda::KEYBOARD_FLAGS.get(io) ^ bit;
        bda::KEYBOARD_FLAGS.set(io, state);
        show_locks(io);
    }
    KeyAction::None
}

/// Begins to set the keyboard's lights; its acknowledgement is the next interrupt.
fn show_locks(io: &mut dyn Platform) {
    const SET_INDICATORS: u8 = 0xED;
    let state = bda::KEYBOARD_FLAGS.get(io) >> 4 & leds::STATE;
    bda::KEYBOARD_LEDS.change(io, leds::STATE, state | leds::COMMANDED);
    controller::send_data(io, SET_INDICATORS);
}

fn pause(io: &mut dyn Platform) -> KeyAction {
    if bda::KEYBOARD_FLAGS_2.get(io) & bda::PAUSED != 0 {
        return KeyAction::None;
    }
    bda::KEYBOARD_FLAGS_2.change(io, 0, bda::PAUSED);
    KeyAction::Pause
}

fn control_break(io: &mut dyn Platform) -> KeyAction {
    clear(io);
    bda::BREAK.change(io, 0, 0x80);
    store(io, 0);
    KeyAction::Break
}

fn sysrq(io: &mut dyn Platform, pressed: bool) -> KeyAction {
    let was_down = bda::KEYBOARD_FLAGS_2.get(io) & down::SYSRQ != 0;
    if pressed == was_down {
        return KeyAction::None;
    }
    let (clear, set, action) =
        if pressed { (0, down::SYSRQ, KeyAction::SysRqDown) } else { (down::SYSRQ, 0, KeyAction::SysRqUp) };
    bda::KEYBOARD_FLAGS_2.change(io, clear, set);
    action
}

/// A key with a code goes down.
fn press(io: &mut dyn Platform, scan: u8, extended: bool) -> KeyAction {
    let flags = bda::KEYBOARD_FLAGS.get(io);
    let has = |bits| flags & bits != 0;
    if bda::KEYBOARD_FLAGS_2.get(io) & bda::PAUSED != 0 {
        bda::KEYBOARD_FLAGS_2.change(io, bda::PAUSED, 0);
        return KeyAction::None;
    }
    if scan == 0x53 && has(flag::CONTROL) && has(flag::ALT) {
        bda::RESET_FLAG.set(io, bda::WARM_START);
        return KeyAction::Restart;
    }
    let key = keys::of_scan_code(scan, extended);
    if has(flag::ALT) && key.lock == Lock::Num {
        let digit = (key.shifted as u8).wrapping_sub(b'0');
        if digit < 10 {
            let code = bda::ALT_CODE.get(io).wrapping_mul(10).wrapping_add(digit);
            bda::ALT_CODE.set(io, code);
        }
        return KeyAction::None;
    }
    let code = code(key, flags);
    if scan == 0x52 && code & 0xFF != u16::from(b'0') {
        insert(io);
    }
    if code != NONE {
        store(io, code);
    }
    KeyAction::None
}

/// The code of `key` in the state `flags`.
fn code(key: Key, flags: u8) -> u16 {
    if flags & flag::ALT != 0 {
        return key.alt;
    }
    if flags & flag::CONTROL != 0 {
        return key.control;
    }
    let shift = flags & (flag::LEFT_SHIFT | flag::RIGHT_SHIFT) != 0;
    let locked = match key.lock {
        Lock::None => false,
        Lock::Caps => flags & flag::CAPS_LOCK != 0,
        Lock::Num => flags & flag::NUM_LOCK != 0,
    };
    if shift != locked { key.shifted } else { key.plain }
}

fn insert(io: &mut dyn Platform) {
    if bda::KEYBOARD_FLAGS_2.get(io) & flag::INSERT == 0 {
        bda::KEYBOARD_FLAGS_2.change(io, 0, flag::INSERT);
        let state = bda::KEYBOARD_FLAGS.get(io) ^ flag::INSERT;
        bda::KEYBOARD_FLAGS.set(io, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_shifts() {
        let a = keys::of_scan_code(0x1E, false);
        assert_eq!(code(a, 0) as u8, b'a');
        assert_eq!(code(a, flag::CAPS_LOCK) as u8, b'A');
        assert_eq!(code(a, flag::CAPS_LOCK | flag::LEFT_SHIFT) as u8, b'a');
        let one = keys::of_scan_code(0x02, false);
        assert_eq!(code(one, flag::CAPS_LOCK) as u8, b'1', "Caps Lock leaves digits alone");
        let home = keys::of_scan_code(0x47, false);
        assert_eq!(code(home, 0), 0x4700);
        assert_eq!(code(home, flag::NUM_LOCK) as u8, b'7');
        assert_eq!(code(home, flag::NUM_LOCK | flag::RIGHT_SHIFT), 0x4700);
        assert_eq!(code(home, flag::CONTROL | flag::NUM_LOCK), 0x7700);
    }
}
