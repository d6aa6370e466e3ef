//! AML: the terms that our tables need, encoded. ACPI Specification 2.0, "ACPI Machine Language (AML) Specification".

/// An encoded term, or several.
pub(super) type Term = Vec<u8>;

/// A name as ASL writes it: segments of up to four characters with dots between them, perhaps from the root `\` on.
fn name_string(path: &str) -> Term {
    const DUAL: u8 = 0x2E;
    const MULTI: u8 = 0x2F;
    let (mut bytes, rest) = match path.strip_prefix('\\') {
        Some(rest) => (vec![b'\\'], rest),
        None => (Vec::new(), path),
    };
    let segments: Vec<&str> = rest.split('.').collect();
    match segments.len() {
        1 => {}
        2 => bytes.push(DUAL),
        n => bytes.extend([MULTI, n as u8]),
    }
    for segment in segments {
        assert!((1..=4).contains(&segment.len()), "{path}: a segment has up to four characters");
        let padding = std::iter::repeat_n(b'_', 4 - segment.len());
        bytes.extend(segment.bytes().chain(padding));
    }
    bytes
}

/// A length of `length` bytes, which counts what it takes itself if `with_itself`.
fn package_length(length: usize, with_itself: bool) -> Term {
    let own = |bytes: usize| if with_itself { bytes } else { 0 };
    if length + own(1) < 1 << 6 {
        return vec![(length + own(1)) as u8];
    }
    let more = if length + own(2) < 1 << 12 { 1 } else { 2 };
    let length = length + own(1 + more);
    assert!(length < 1 << 20, "no term of ours is that long");
    // The first byte holds the lowest four bits, and how many bytes follow.
    let mut bytes = vec![(more as u8) << 6 | (length & 0xF) as u8];
    bytes.extend((0..more).map(|n| (length >> (4 + 8 * n)) as u8));
    bytes
}

/// `opcode`, the length of what follows, and `parts`.
fn sized(opcode: &[u8], parts: &[&[u8]]) -> Term {
    let body = parts.concat();
    [opcode, &package_length(body.len(), true), &body].concat()
}

pub(super) fn integer(value: u32) -> Term {
    match value {
        0 | 1 => vec![value as u8],
        2..=0xFF => vec![0x0A, value as u8],
        0x100..=0xFFFF => [&[0x0B], &(value as u16).to_le_bytes()[..]].concat(),
        _ => [&[0x0C], &value.to_le_bytes()[..]].concat(),
    }
}

/// `EisaId`: three letters and four hexadecimal digits, compressed.
pub(super) fn eisa_id(id: &str) -> Term {
    let letter = |at: usize| u32::from(id.as_bytes()[at] - b'@') & 0x1F;
    let letters = letter(0) << 10 | letter(1) << 5 | letter(2);
    let digits = u32::from_str_radix(&id[3..], 16).expect("an identifier of ours");
    integer((letters << 16 | digits).swap_bytes())
}

/// A reference to what has this name, or a call of the method.
pub(super) fn reference(path: &str) -> Term {
    name_string(path)
}

pub(super) fn name(path: &str, value: Term) -> Term {
    [vec![0x08], name_string(path), value].concat()
}

pub(super) fn scope(path: &str, terms: &[Term]) -> Term {
    sized(&[0x10], &[&name_string(path), &terms.concat()])
}

pub(super) fn device(path: &str, terms: &[Term]) -> Term {
    sized(&[0x5B, 0x82], &[&name_string(path), &terms.concat()])
}

/// A processor without power states of its own.
pub(super) fn processor(path: &str, id: u8) -> Term {
    sized(&[0x5B, 0x83], &[&name_string(path), &[id, 0, 0, 0, 0, 0]])
}

pub(super) fn package(elements: &[Term]) -> Term {
    sized(&[0x12], &[&[elements.len() as u8], &elements.concat()])
}

pub(super) fn buffer(bytes: &[u8]) -> Term {
    sized(&[0x11], &[&integer(bytes.len() as u32), bytes])
}

/// A method that one thread at a time executes: it may name objects.
pub(super) fn serialized_method(path: &str, arguments: u8, terms: &[Term]) -> Term {
    const SERIALIZED: u8 = 1 << 3;
    sized(&[0x14], &[&name_string(path), &[arguments | SERIALIZED], &terms.concat()])
}

/// `length` bytes of the configuration space of the device around it.
pub(super) fn pci_configuration_region(path: &str, offset: u32, length: u32) -> Term {
    const PCI_CONFIG: u8 = 2;
    [vec![0x5B, 0x80], name_string(path), vec![PCI_CONFIG], integer(offset), integer(length)].concat()
}

/// Fields of a byte each, accessed by the byte, from the beginning of `region` on.
pub(super) fn byte_fields(region: &str, fields: &[&str]) -> Term {
    /// Byte access, no lock, preserve what is around it.
    const FLAGS: u8 = 1;
    let fields: Vec<Term> =
        fields.iter().map(|field| [name_string(field), package_length(8, false)].concat()).collect();
    sized(&[0x5B, 0x81], &[&name_string(region), &[FLAGS], &fields.concat()])
}

pub(super) fn create_word_field(source: Term, index: u32, path: &str) -> Term {
    [vec![0x8B], source, integer(index), name_string(path)].concat()
}

/// `Arg0`.
pub(super) fn argument() -> Term {
    vec![0x68]
}

/// `Local0`.
pub(super) fn local() -> Term {
    vec![0x60]
}

pub(super) fn store(source: Term, target: Term) -> Term {
    [vec![0x70], source, target].concat()
}

pub(super) fn and(left: Term, right: Term) -> Term {
    /// The result goes nowhere else.
    const NO_TARGET: u8 = 0;
    [vec![0x7B], left, right, vec![NO_TARGET]].concat()
}

pub(super) fn shift_left(value: Term, count: Term, target: Term) -> Term {
    [vec![0x79], value, count, target].concat()
}

/// The number of the lowest bit that is set, from 1 on; 0 if none is.
pub(super) fn find_set_right_bit(value: Term, target: Term) -> Term {
    [vec![0x82], value, target].concat()
}

pub(super) fn subtract(left: Term, right: Term, target: Term) -> Term {
    [vec![0x74], left, right, target].concat()
}

pub(super) fn if_else(condition: Term, then: &[Term], otherwise: &[Term]) -> Term {
    let mut term = sized(&[0xA0], &[&condition, &then.concat()]);
    if !otherwise.is_empty() {
        term.extend(sized(&[0xA1], &[&otherwise.concat()]));
    }
    term
}

pub(super) fn return_value(value: Term) -> Term {
    [vec![0xA4], value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name_string("\\_SB"), b"\\_SB_");
        assert_eq!(name_string("ISA.PRQA"), b"\x2EISA_PRQA");
        assert_eq!(name_string("\\_SB.PCI0.ISA"), b"\\\x2F\x03_SB_PCI0ISA_");
    }

    /// "Package Length Encoding".
    #[test]
    fn lengths() {
        assert_eq!(package_length(62, true), [63]);
        assert_eq!(package_length(63, true), [0x41, 0x04]);
        assert_eq!(package_length(0x0FFD, true), [0x4F, 0xFF]);
        assert_eq!(package_length(0x0FFE, true), [0x81, 0x00, 0x01]);
        assert_eq!(package_length(8, false), [8]);
    }

    /// Plug and Play ISA Specification 1.0a, "EISA product identifier": PNP0A03 is 41D0h and 0A03h.
    #[test]
    fn identifiers() {
        assert_eq!(eisa_id("PNP0A03"), [0x0C, 0x41, 0xD0, 0x0A, 0x03]);
    }

    #[test]
    fn integers_are_as_short_as_can_be() {
        assert_eq!(integer(1), [1]);
        assert_eq!(integer(0x80), [0x0A, 0x80]);
        assert_eq!(integer(0x1234), [0x0B, 0x34, 0x12]);
        assert_eq!(integer(0x1234_5678), [0x0C, 0x78, 0x56, 0x34, 0x12]);
    }
}
