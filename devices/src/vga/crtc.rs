//! VGA CRT controller registers, ports 3x4h/3x5h: timing, addressing, cursor, line compare.

use serde::{Deserialize, Serialize};

/// The bits that exist in CR0 to CR18h.
const IMPLEMENTED: [u8; 25] = {
    let mut bits = [0xFF; 25];
    bits[PRESET_ROW_SCAN] = 0x7F;
    bits[CURSOR_START] = 0x3F;
    bits[CURSOR_END] = 0x7F;
    bits[UNDERLINE_LOCATION] = 0x7F;
    bits[MODE_CONTROL] = 0xEF;
    bits
};

const HORIZONTAL_TOTAL: usize = 0x00;
const HORIZONTAL_DISPLAY_END: usize = 0x01;
const VERTICAL_TOTAL: usize = 0x06;
const OVERFLOW: usize = 0x07;
const PRESET_ROW_SCAN: usize = 0x08;
const MAXIMUM_SCAN_LINE: usize = 0x09;
const CURSOR_START: usize = 0x0A;
const CURSOR_END: usize = 0x0B;
const START_ADDRESS_HIGH: usize = 0x0C;
const START_ADDRESS_LOW: usize = 0x0D;
const CURSOR_LOCATION_HIGH: usize = 0x0E;
const CURSOR_LOCATION_LOW: usize = 0x0F;
const VERTICAL_RETRACE_START: usize = 0x10;
const VERTICAL_RETRACE_END: usize = 0x11;
const VERTICAL_DISPLAY_END: usize = 0x12;
const OFFSET: usize = 0x13;
const UNDERLINE_LOCATION: usize = 0x14;
const MODE_CONTROL: usize = 0x17;
const LINE_COMPARE: usize = 0x18;

/// Read-only, undocumented by IBM, in every VGA: the latch of the map that read map select names.
pub(super) const LATCH: u8 = 0x22;
/// Read-only, as above: bit 7 tells where the next write to 3C0h goes.
pub(super) const ATTRIBUTE_TOGGLE: u8 = 0x24;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crtc {
    pub(super) index: u8,
    pub(super) registers: [u8; 25],
}

impl Crtc {
    pub fn is_valid(&self) -> bool {
        self.index & !0x3F == 0 && self.registers.iter().zip(IMPLEMENTED).all(|(r, bits)| r & !bits == 0)
    }

    pub fn index(&self) -> u8 {
        self.index
    }

    pub fn set_index(&mut self, value: u8) {
        self.index = value & 0x3F;
    }

    pub fn read(&self) -> u8 {
        self.registers.get(usize::from(self.index)).copied().unwrap_or(0)
    }

    pub fn write(&mut self, value: u8) {
        let i = usize::from(self.index);
        let Some(register) = self.registers.get(i) else { return };
        let protected = i <= OVERFLOW && self.registers[VERTICAL_RETRACE_END] & 0x80 != 0;
        let writable = match (protected, i) {
            (false, _) => IMPLEMENTED[i],
            // Bit 8 of line compare stands outside the protection, so that a split screen can move.
            (true, OVERFLOW) => 0x10,
            (true, _) => 0,
        };
        self.registers[i] = register & !writable | value & writable;
    }

    /// The selected register has to do with timing or the vertical interrupt.
    pub fn times(&self) -> bool {
        let timing = HORIZONTAL_TOTAL..=OVERFLOW;
        let others = [VERTICAL_RETRACE_START, VERTICAL_RETRACE_END, VERTICAL_DISPLAY_END, MODE_CONTROL];
        let index = usize::from(self.index);
        timing.contains(&index) || others.contains(&index)
    }

    fn at(&self, register: usize) -> u32 {
        u32::from(self.registers[register])
    }

    /// Bit `from` of `register` moved to bit `to`.
    fn bit(&self, register: usize, from: u32, to: u32) -> u32 {
        (self.at(register) >> from & 1) << to
    }

    /// Characters from one horizontal sync to the next. 5 to 260.
    pub fn horizontal_total(&self) -> u32 {
        self.at(HORIZONTAL_TOTAL) + 5
    }

    /// Characters shown in a line. 1 to 256.
    pub fn horizontal_display(&self) -> u32 {
        self.at(HORIZONTAL_DISPLAY_END) + 1
    }

    /// Scan lines in a frame. 2 to 1025; see [`Crtc::line_step`].
    pub fn vertical_total(&self) -> u32 {
        (self.at(VERTICAL_TOTAL) | self.bit(OVERFLOW, 0, 8) | self.bit(OVERFLOW, 5, 9)) + 2
    }

    /// Scan lines shown. 1 to 1024.
    pub fn vertical_display(&self) -> u32 {
        (self.at(VERTICAL_DISPLAY_END) | self.bit(OVERFLOW, 1, 8) | self.bit(OVERFLOW, 6, 9)) + 1
    }

    /// The scan line on which vertical retrace starts, and how many lines it lasts (1 to 16).
    pub fn vertical_retrace(&self) -> (u32, u32) {
        let start = self.at(VERTICAL_RETRACE_START) | self.bit(OVERFLOW, 2, 8) | self.bit(OVERFLOW, 7, 9);
        // The end register is compared with the four low bits of the line counter.
        let length = self.at(VERTICAL_RETRACE_END).wrapping_sub(start) & 0x0F;
        (start, if length == 0 { 16 } else { length })
    }

    /// CR17h bit 2: the vertical counter takes every second line, so that all vertical values count twice.
    pub fn line_step(&self) -> u32 {
        1 + self.bit(MODE_CONTROL, 2, 0)
    }

    /// CR17h bit 7: retrace runs at all.
    pub fn retrace_enabled(&self) -> bool {
        self.at(MODE_CONTROL) & 0x80 != 0
    }

    /// CR11h bit 4 clear: the vertical interrupt latch is held clear.
    pub fn interrupt_cleared(&self) -> bool {
        self.at(VERTICAL_RETRACE_END) & 0x10 == 0
    }

    /// CR11h bit 5 clear: the latch drives the interrupt line.
    pub fn interrupt_enabled(&self) -> bool {
        self.at(VERTICAL_RETRACE_END) & 0x20 == 0
    }

    /// The last scan line before the split: the next one starts at address 0.
    pub fn line_compare(&self) -> u32 {
        self.at(LINE_COMPARE) | self.bit(OVERFLOW, 4, 8) | self.bit(MAXIMUM_SCAN_LINE, 6, 9)
    }

    /// Scan lines of a character row. 1 to 32.
    pub fn row_height(&self) -> u32 {
        (self.at(MAXIMUM_SCAN_LINE) & 0x1F) + 1
    }

    /// CR9 bit 7: every line is shown twice.
    pub fn double_scan(&self) -> bool {
        self.at(MAXIMUM_SCAN_LINE) & 0x80 != 0
    }

    /// The row scan with which the frame starts. 0 to 31.
    pub fn preset_row_scan(&self) -> u32 {
        self.at(PRESET_ROW_SCAN) & 0x1F
    }

    /// Characters by which the picture is shifted left. 0 to 3.
    pub fn byte_panning(&self) -> u32 {
        self.at(PRESET_ROW_SCAN) >> 5
    }

    /// The address counter at the start of the frame.
    pub fn start_address(&self) -> u32 {
        self.at(START_ADDRESS_HIGH) << 8 | self.at(START_ADDRESS_LOW)
    }

    /// What a row adds to the address counter. 0 to 510.
    pub fn row_offset(&self) -> u32 {
        self.at(OFFSET) * 2
    }

    /// The value of the address counter under the cursor, skew included.
    pub fn cursor_location(&self) -> u32 {
        let skew = self.at(CURSOR_END) >> 5 & 3;
        (self.at(CURSOR_LOCATION_HIGH) << 8 | self.at(CURSOR_LOCATION_LOW)).wrapping_add(skew) & 0xFFFF
    }

    /// CR0Ah bit 5 clear and some row left: the cursor is shown.
    pub fn cursor_on(&self) -> bool {
        self.at(CURSOR_START) & 0x20 == 0 && !self.cursor_rows().is_empty()
    }

    /// The row scans that the cursor covers. Empty where it would end before it starts.
    pub fn cursor_rows(&self) -> std::ops::RangeInclusive<u32> {
        self.at(CURSOR_START) & 0x1F..=self.at(CURSOR_END) & 0x1F
    }

    /// The row scan on which underlined characters are underlined.
    pub fn underline_location(&self) -> u32 {
        self.at(UNDERLINE_LOCATION) & 0x1F
    }

    /// How often the address counter moves, as a power of two of character clocks.
    pub fn count_shift(&self) -> u32 {
        if self.at(UNDERLINE_LOCATION) & 0x20 != 0 { 2 } else { self.bit(MODE_CONTROL, 3, 0) }
    }

    /// CR17h bits 0 and 1 both set: no row scan bit takes the place of an address bit.
    pub fn rows_share_addresses(&self) -> bool {
        self.at(MODE_CONTROL) & 0x03 == 0x03
    }

    /// The memory address that the address counter makes on a row scan: byte, word or doubleword mode, then
    /// CGA and Hercules banks.
    pub fn memory_address(&self, counter: u32, row_scan: u32) -> u32 {
        let counter = counter & 0xFFFF;
        let mode = self.at(MODE_CONTROL);
        let mut address = if self.at(UNDERLINE_LOCATION) & 0x40 != 0 {
            counter << 2 | counter >> 14
        } else if mode & 0x40 == 0 {
            counter << 1 | counter >> if mode & 0x20 != 0 { 15 } else { 13 } & 1
        } else {
            counter
        } & 0xFFFF;
        if mode & 0x01 == 0 {
            address = address & !(1 << 13) | (row_scan & 1) << 13;
        }
        if mode & 0x02 == 0 {
            address = address & !(1 << 14) | (row_scan >> 1 & 1) << 14;
        }
        address
    }
}
