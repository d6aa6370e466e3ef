//! The x87 environment in memory: four layouts, by operand size and by mode.
//!
//! SDM Vol. 1, "Saving the x87 FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE" (figures). Real mode and
//! virtual-8086 mode have linear addresses where protected mode has selectors and offsets.

use crate::cpu::Cpu;
use crate::state::x87::X87;

/// A layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// 32-bit operand size.
    wide: bool,
    /// Protected mode, not virtual-8086 mode.
    protected: bool,
}

impl Layout {
    /// Bytes of the largest layout.
    pub const LARGEST: usize = 28;

    /// The layout for the current mode.
    pub fn current(cpu: &Cpu, wide: bool) -> Layout {
        Layout { wide, protected: cpu.protected() }
    }

    /// Its bytes: seven words or doublewords.
    pub fn bytes(self) -> usize {
        if self.wide { 28 } else { 14 }
    }

    /// Stores the environment in `image`, which has [`Layout::bytes`] bytes.
    pub fn store(self, x87: &X87, image: &mut [u8]) {
        let fields = self.fields(x87);
        if self.wide {
            for (bytes, field) in image.as_chunks_mut().0.iter_mut().zip(fields) {
                *bytes = field.to_le_bytes();
            }
        } else {
            for (bytes, field) in image.as_chunks_mut().0.iter_mut().zip(fields) {
                *bytes = (field as u16).to_le_bytes();
            }
        }
    }

    /// Loads the environment from `image`, which has [`Layout::bytes`] bytes.
    pub fn load(self, x87: &mut X87, image: &[u8]) {
        let mut fields = [0; 7];
        if self.wide {
            for (field, bytes) in fields.iter_mut().zip(image.as_chunks().0) {
                *field = u32::from_le_bytes(*bytes);
            }
        } else {
            for (field, bytes) in fields.iter_mut().zip(image.as_chunks().0) {
                *field = u32::from(u16::from_le_bytes(*bytes));
            }
        }
        let [control, status, tags, ip, code, data, data_selector] = fields;
        x87.set_control(control as u16);
        x87.set_status_word(status as u16);
        x87.set_tag_word(tags as u16);
        (x87.last_ip, x87.last_opcode, x87.last_data) = match (self.protected, self.wide) {
            (true, true) => ((code as u16, ip), (code >> 16) as u16 & 0x7FF, (data_selector as u16, data)),
            (true, false) => ((code as u16, ip), 0, (data_selector as u16, data)),
            (false, true) => {
                let join = |low: u32, high: u32| (0, low & 0xFFFF | (high >> 12 & 0xFFFF) << 16);
                (join(ip, code), code as u16 & 0x7FF, join(data, data_selector))
            }
            (false, false) => {
                let join = |low: u32, high: u32| (0, low | (high >> 12) << 16);
                (join(ip, code), code as u16 & 0x7FF, join(data, data_selector))
            }
        };
    }

    /// The seven fields, as doublewords whose lower words are those of the 16-bit layout.
    fn fields(self, x87: &X87) -> [u32; 7] {
        // Where the wide layouts have reserved bits, processors store ones.
        let padded = |word: u16| 0xFFFF_0000 | u32::from(word);
        let opcode = u32::from(x87.last_opcode & 0x7FF);
        let [control, status, tags] = [x87.control, x87.status_word(), x87.tag_word()].map(padded);
        let ((code, ip), (data_selector, data)) = (x87.last_ip, x87.last_data);
        if self.protected {
            let code = opcode << 16 | u32::from(code);
            return [control, status, tags, ip, code, data, padded(data_selector)];
        }
        let linear = |selector: u16, offset: u32| (u32::from(selector) << 4).wrapping_add(offset);
        let (ip, data) = (linear(code, ip), linear(data_selector, data));
        let (code, data_selector) = if self.wide {
            ((ip >> 16) << 12 | opcode, (data >> 16) << 12)
        } else {
            ((ip >> 16 & 15) << 12 | opcode, (data >> 16 & 15) << 12)
        };
        [control, status, tags, padded(ip as u16), code, padded(data as u16), data_selector]
    }
}
