//! What keys mean: scan code set 1 to the codes that INT 16h gives. IBM PS/2 and PC BIOS Interface Technical
//! Reference, "Keyboard", "Character codes".

/// A key without a code in some state.
pub(super) const NONE: u16 = 0;

/// Which lock works on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    /// A letter.
    Caps,
    /// A key of the numeric keypad.
    Num,
}

/// The codes of a key: scan code in the upper half, character in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub plain: u16,
    pub shifted: u16,
    pub control: u16,
    pub alt: u16,
    pub lock: Lock,
}

const fn key(plain: u16, shifted: u16, control: u16, alt: u16) -> Key {
    Key { plain, shifted, control, alt, lock: Lock::None }
}

const UNKNOWN: Key = key(NONE, NONE, NONE, NONE);

/// A key that types a character.
const fn types(scan: u8, plain: u8, shifted: u8, control: u16, alt: u16) -> Key {
    let code = (scan as u16) << 8;
    key(code | plain as u16, code | shifted as u16, control, alt)
}

const fn letter(scan: u8, small: u8) -> Key {
    let code = (scan as u16) << 8;
    let control = code | (small & 0x1F) as u16;
    Key { lock: Lock::Caps, ..types(scan, small, small - 0x20, control, code) }
}

const fn keypad(scan: u8, digit: u8, control: u16) -> Key {
    let code = (scan as u16) << 8;
    Key { lock: Lock::Num, ..key(code, code | digit as u16, control, NONE) }
}

/// The digits, whose Alt codes follow one another from 78h on.
const DIGITS: (&[u8; 12], &[u8; 12]) = (b"1234567890-=", b"!@#$%^&*()_+");

const PLAIN: [Key; 0x59] = {
    let mut keys = [UNKNOWN; 0x59];
    keys[0x01] = key(0x011B, 0x011B, 0x011B, 0x0100);
    let mut n = 0;
    while n < DIGITS.0.len() {
        let scan = 0x02 + n as u8;
        keys[scan as usize] = types(scan, DIGITS.0[n], DIGITS.1[n], NONE, 0x7800 + 0x100 * n as u16);
        n += 1;
    }
    keys[0x03].control = 0x0300;
    keys[0x07].control = 0x071E;
    keys[0x0C].control = 0x0C1F;
    keys[0x0E] = key(0x0E08, 0x0E08, 0x0E7F, 0x0E00);
    keys[0x0F] = key(0x0F09, 0x0F00, 0x9400, 0xA500);
    let rows: [(u8, &[u8]); 3] = [(0x10, b"qwertyuiop"), (0x1E, b"asdfghjkl"), (0x2C, b"zxcvbnm")];
    let mut row = 0;
    while row < rows.len() {
        let (first, letters) = rows[row];
        let mut n = 0;
        while n < letters.len() {
            let scan = first + n as u8;
            keys[scan as usize] = letter(scan, letters[n]);
            n += 1;
        }
        row += 1;
    }
    keys[0x1A] = types(0x1A, b'[', b'{', 0x1A1B, 0x1A00);
    keys[0x1B] = types(0x1B, b']', b'}', 0x1B1D, 0x1B00);
    keys[0x1C] = key(0x1C0D, 0x1C0D, 0x1C0A, 0x1C00);
    keys[0x27] = types(0x27, b';', b':', NONE, 0x2700);
    keys[0x28] = types(0x28, b'\'', b'"', NONE, 0x2800);
    keys[0x29] = types(0x29, b'`', b'~', NONE, 0x2900);
    keys[0x2B] = types(0x2B, b'\\', b'|', 0x2B1C, 0x2B00);
    keys[0x33] = types(0x33, b',', b'<', NONE, 0x3300);
    keys[0x34] = types(0x34, b'.', b'>', NONE, 0x3400);
    keys[0x35] = types(0x35, b'/', b'?', NONE, 0x3500);
    keys[0x37] = key(0x372A, 0x372A, 0x9600, 0x3700);
    keys[0x39] = key(0x3920, 0x3920, 0x3920, 0x3920);
    let mut n = 0;
    while n < 10 {
        let step = 0x100 * n as u16;
        keys[0x3B + n] = key(0x3B00 + step, 0x5400 + step, 0x5E00 + step, 0x6800 + step);
        n += 1;
    }
    keys[0x47] = keypad(0x47, b'7', 0x7700);
    keys[0x48] = keypad(0x48, b'8', 0x8D00);
    keys[0x49] = keypad(0x49, b'9', 0x8400);
    keys[0x4A] = key(0x4A2D, 0x4A2D, 0x8E00, 0x4A00);
    keys[0x4B] = keypad(0x4B, b'4', 0x7300);
    keys[0x4C] = Key { plain: 0x4CF0, ..keypad(0x4C, b'5', 0x8F00) };
    keys[0x4D] = keypad(0x4D, b'6', 0x7400);
    keys[0x4E] = key(0x4E2B, 0x4E2B, 0x9000, 0x4E00);
    keys[0x4F] = keypad(0x4F, b'1', 0x7500);
    keys[0x50] = keypad(0x50, b'2', 0x9100);
    keys[0x51] = keypad(0x51, b'3', 0x7600);
    keys[0x52] = keypad(0x52, b'0', 0x9200);
    keys[0x53] = keypad(0x53, b'.', 0x9300);
    keys[0x56] = types(0x56, b'\\', b'|', NONE, NONE);
    keys[0x57] = key(0x8500, 0x8700, 0x8900, 0x8B00);
    keys[0x58] = key(0x8600, 0x8800, 0x8A00, 0x8C00);
    keys
};

/// The key with scan code `scan`, behind the prefix E0h if `extended`.
pub(super) fn of_scan_code(scan: u8, extended: bool) -> Key {
    if !extended {
        return PLAIN.get(usize::from(scan)).copied().unwrap_or(UNKNOWN);
    }
    // The grey keys: the character E0h tells them from those of the keypad.
    let grey = |control: u16, alt: u16| {
        let plain = u16::from(scan) << 8 | 0xE0;
        key(plain, plain, control, alt)
    };
    match scan {
        0x1C => key(0xE00D, 0xE00D, 0xE00A, 0xA600),
        0x35 => key(0xE02F, 0xE02F, 0x9500, 0xA400),
        0x47 => grey(0x77E0, 0x9700),
        0x48 => grey(0x8DE0, 0x9800),
        0x49 => grey(0x84E0, 0x9900),
        0x4B => grey(0x73E0, 0x9B00),
        0x4D => grey(0x74E0, 0x9D00),
        0x4F => grey(0x75E0, 0x9F00),
        0x50 => grey(0x91E0, 0xA000),
        0x51 => grey(0x76E0, 0xA100),
        0x52 => grey(0x92E0, 0xA200),
        0x53 => grey(0x93E0, 0xA300),
        _ => UNKNOWN,
    }
}

/// What INT 16h AH=10h gives for a code in the buffer.
pub(super) fn enhanced(code: u16) -> u16 {
    // F0h marks keys that the standard functions leave out.
    if code & 0xFF == 0xF0 && code > 0xFF { code & 0xFF00 } else { code }
}

/// What INT 16h AH=00h gives; `None` for keys that an 83-key keyboard does not have.
pub(super) fn standard(code: u16) -> Option<u16> {
    let [character, scan] = code.to_le_bytes();
    match (scan, character) {
        // Enter and / of the keypad.
        (0xE0, 0x0D | 0x0A) => Some(0x1C00 | u16::from(character)),
        (0xE0, _) => Some(0x3500 | u16::from(character)),
        (0x85.., _) => None,
        (1.., 0xF0) => None,
        (1.., 0xE0) => Some(u16::from(scan) << 8),
        _ => Some(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_reference() {
        assert_eq!(of_scan_code(0x1E, false).plain, 0x1E61);
        assert_eq!(of_scan_code(0x1E, false).shifted, 0x1E41);
        assert_eq!(of_scan_code(0x2E, false).control, 0x2E03);
        assert_eq!(of_scan_code(0x0B, false).alt, 0x8100);
        assert_eq!(of_scan_code(0x0D, false).alt, 0x8300);
        assert_eq!(of_scan_code(0x44, false).shifted, 0x5D00);
        assert_eq!(of_scan_code(0x44, false).alt, 0x7100);
        assert_eq!(of_scan_code(0x48, true).control, 0x8DE0);
        assert_eq!(of_scan_code(0x7F, false), UNKNOWN);
    }

    #[test]
    fn keys_that_old_programs_do_not_know() {
        assert_eq!(standard(0x48E0), Some(0x4800), "grey arrow");
        assert_eq!(standard(0xE00D), Some(0x1C0D), "keypad Enter");
        assert_eq!(standard(0xE02F), Some(0x352F), "keypad /");
        assert_eq!(standard(0x8500), None, "F11");
        assert_eq!(standard(0x4CF0), None, "keypad 5");
        assert_eq!(standard(0x00E0), Some(0x00E0), "a character typed with Alt");
        assert_eq!(enhanced(0x4CF0), 0x4C00);
        assert_eq!(enhanced(0x48E0), 0x48E0);
    }
}
