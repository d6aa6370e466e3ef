//! Resource descriptors: what a device occupies. ACPI Specification 2.0, "Resource Data Types for ACPI".

use super::aml::{Term, buffer};

/// `ResourceTemplate`: `descriptors` with an end tag, whose checksum of zero is not checked.
pub(super) fn template(descriptors: &[Vec<u8>]) -> Term {
    let mut bytes = descriptors.concat();
    bytes.extend([0x79, 0x00]);
    buffer(&bytes)
}

/// `IO`: `count` ports from `first` on, with all 16 bits decoded.
pub(super) fn ports(first: u16, count: u8) -> Vec<u8> {
    let [low, high] = first.to_le_bytes();
    vec![0x47, 0x01, low, high, low, high, 1, count]
}

/// `IRQNoFlags`: an edge-triggered line.
pub(super) fn irq(line: u8) -> Vec<u8> {
    let [low, high] = (1u16 << line).to_le_bytes();
    vec![0x22, low, high]
}

/// `IRQ`: one of these lines, level-triggered, low, shared.
pub(super) fn shared_irq(lines: u16) -> Vec<u8> {
    let [low, high] = lines.to_le_bytes();
    vec![0x23, low, high, 0x18]
}

/// `DMA`: an 8-bit channel at its original speed.
pub(super) fn dma(channel: u8) -> Vec<u8> {
    vec![0x2A, 1 << channel, 0x00]
}

/// `DMA`: the 16-bit channel that the cascade takes.
pub(super) fn dma_cascade() -> Vec<u8> {
    vec![0x2A, 1 << 4, 0x02]
}

/// `Memory32Fixed`.
pub(super) fn memory(first: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0x86, 9, 0, 1];
    bytes.extend(first.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes
}

/// What kind of addresses a bridge passes on, with the flags that belong to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Space {
    /// Memory that reads and writes reach, uncached.
    Memory = 0x0100,
    /// All ports, whether ISA aliases or not.
    Ports = 0x0301,
    Buses = 0x0002,
}

impl Space {
    /// Resource type; general flags: both ends are fixed, the bridge decodes positively; type-specific flags.
    fn flags(self) -> [u8; 3] {
        let [kind, specific] = (self as u16).to_le_bytes();
        [kind, 0x0C, specific]
    }
}

/// `WordBusNumber` or `WordIO`: what the bridge passes on from `first` to `last`.
pub(super) fn word_window(space: Space, first: u16, last: u16) -> Vec<u8> {
    let mut bytes = vec![0x88, 13, 0];
    bytes.extend(space.flags());
    for number in [0, first, last, 0, last - first + 1] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// `DWordMemory`.
pub(super) fn dword_window(space: Space, first: u32, last: u32) -> Vec<u8> {
    let mut bytes = vec![0x87, 23, 0];
    bytes.extend(space.flags());
    for number in [0, first, last, 0, last - first + 1] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths that the descriptors tell of themselves.
    #[test]
    fn descriptors_have_the_length_that_they_tell() {
        for small in [ports(0x60, 1), irq(1), shared_irq(1), dma(2), dma_cascade()] {
            assert_eq!(usize::from(small[0] & 7), small.len() - 1, "{small:x?}");
        }
        for large in [
            memory(0xFEC0_0000, 0x1000),
            word_window(Space::Buses, 0, 0xFF),
            dword_window(Space::Memory, 0xA_0000, 0xB_FFFF),
        ] {
            let length = u16::from_le_bytes([large[1], large[2]]);
            assert_eq!(usize::from(length), large.len() - 3, "{large:x?}");
        }
    }
}
