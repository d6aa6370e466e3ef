//! One 8259A: requests, priorities, and the command words that steer them.

use super::spec::{Icw1, Icw4, Ocw2, Ocw3};
use serde::{Deserialize, Serialize};

/// Which initialization command word comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Initialization {
    /// None: data writes are OCW1.
    Complete,
    /// ICW2.
    Icw2,
    /// ICW3.
    Icw3,
    /// ICW4.
    Icw4,
}

/// One 8259A. Bit `n` of each byte set is input IR`n`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chip {
    /// Input levels at the last look.
    pub lines: u8,
    /// Edges not yet acknowledged; meaningful while the line stays high.
    pub edges: u8,
    /// Edge/level control register.
    pub elcr: u8,
    /// In-service register.
    pub isr: u8,
    /// Interrupt mask register.
    pub imr: u8,
    /// The input with the lowest priority, 0 to 7.
    pub lowest: u8,
    /// ICW1 as last written.
    pub icw1: Icw1,
    /// ICW2: the interrupt vector byte.
    pub icw2: u8,
    /// ICW3: a master's inputs that have slaves, or a slave's identity.
    pub icw3: u8,
    /// ICW4, zero if ICW1 announced none.
    pub icw4: Icw4,
    /// Progress through the initialization sequence.
    pub initialization: Initialization,
    /// Special mask mode.
    pub special_mask: bool,
    /// The rotate-in-automatic-EOI flip-flop.
    pub rotate_in_automatic_eoi: bool,
    /// Reads at A0 = 0 see the in-service register.
    pub read_in_service: bool,
    /// The next read is a poll.
    pub poll: bool,
}

impl Chip {
    /// A chip that was never initialized: the data sheet leaves its registers undefined, here everything is
    /// masked.
    pub(super) fn power_on() -> Self {
        Chip {
            lines: 0,
            edges: 0,
            elcr: 0,
            isr: 0,
            imr: 0xFF,
            lowest: 7,
            icw1: Icw1(0),
            icw2: 0,
            icw3: 0,
            icw4: Icw4(0),
            initialization: Initialization::Complete,
            special_mask: false,
            rotate_in_automatic_eoi: false,
            read_in_service: false,
            poll: false,
        }
    }

    /// Looks at the inputs. `rose` are those that rose since the last look even if they fell again.
    pub(super) fn look(&mut self, lines: u8, rose: u8) {
        self.edges = (self.edges | rose | (lines & !self.lines)) & lines;
        self.lines = lines;
    }

    /// The interrupt request register. "Edge and Level Triggered Modes": an input must stay high until it is
    /// acknowledged; if it falls, the request is gone, and an acknowledge on its way finds IR7.
    pub(super) fn irr(&self) -> u8 {
        let level = if self.icw1.level_triggered() { 0xFF } else { self.elcr };
        self.lines & (level | self.edges)
    }

    /// How far `level` is from the highest priority.
    fn rank(&self, level: u8) -> u8 {
        level.wrapping_sub(self.lowest.wrapping_add(1)) & 7
    }

    /// The input of highest priority in `set`.
    fn highest(&self, set: u8) -> Option<u8> {
        let first = self.lowest.wrapping_add(1) & 7;
        let rotated = set.rotate_right(u32::from(first));
        (rotated != 0).then(|| (rotated.trailing_zeros() as u8).wrapping_add(first) & 7)
    }

    /// The in-service bits that take part in priority resolution: "Special Mask Mode" takes the masked ones
    /// out.
    fn resolving_isr(&self) -> u8 {
        if self.special_mask { self.isr & !self.imr } else { self.isr }
    }

    /// Whether `level` is a master's input with a slave on it.
    pub(super) fn cascades(&self, level: u8) -> bool {
        !self.icw1.single() && self.icw3 & (1 << level) != 0
    }

    /// The request that INT announces, none during initialization. `is_master` says that ICW3 means inputs.
    fn pending(&self, is_master: bool) -> Option<u8> {
        if self.initialization != Initialization::Complete {
            return None;
        }
        let request = self.highest(self.irr() & !self.imr)?;
        let Some(in_service) = self.highest(self.resolving_isr()) else { return Some(request) };
        let may_equal = is_master && self.icw4.special_fully_nested() && self.cascades(request);
        let rank = self.rank(request);
        let limit = self.rank(in_service);
        (rank < limit || (may_equal && rank == limit)).then_some(request)
    }

    /// The level of the INT output.
    pub(super) fn int(&self, is_master: bool) -> bool {
        self.pending(is_master).is_some()
    }

    /// Takes the pending request into service; `None` if it has gone, and IR7 is to be reported.
    pub(super) fn accept(&mut self, is_master: bool) -> Option<u8> {
        let level = self.pending(is_master)?;
        let bit = 1 << level;
        self.edges &= !bit;
        if !self.icw4.automatic_eoi() {
            self.isr |= bit;
        } else if self.rotate_in_automatic_eoi {
            self.lowest = level;
        }
        Some(level)
    }

    /// What the chip puts on the bus for `level` at the second acknowledge pulse. In MCS-80 mode that is the
    /// low byte of a call address, which an x86 takes for a vector.
    pub(super) fn vector(&self, level: u8) -> u8 {
        if self.icw4.mode_8086() {
            self.icw2 & 0xF8 | level
        } else if self.icw1.interval_4() {
            self.icw1.0 & 0xE0 | level << 2
        } else {
            self.icw1.0 & 0xC0 | level << 3
        }
    }

    pub(super) fn read(&mut self, a0: bool, is_master: bool) -> u8 {
        if std::mem::take(&mut self.poll) {
            // "Poll Command": the read acknowledges. Without a request only D7 = 0 is specified; the level
            // reads as IR7, like that of an acknowledge.
            return self.accept(is_master).map_or(7, |level| 0x80 | level);
        }
        match (a0, self.read_in_service) {
            (true, _) => self.imr,
            (false, true) => self.isr,
            (false, false) => self.irr(),
        }
    }

    pub(super) fn write(&mut self, a0: bool, value: u8) {
        match (a0, self.initialization) {
            (false, _) if value & Icw1::SELECT != 0 => self.initialize(Icw1(value)),
            (false, _) if value & Ocw3::SELECT != 0 => self.command(Ocw3(value)),
            (false, _) => self.end_or_rotate(value.into()),
            (true, Initialization::Complete) => self.imr = value,
            (true, Initialization::Icw2) => {
                self.icw2 = value;
                self.initialization =
                    if self.icw1.single() { self.after_icw3() } else { Initialization::Icw3 };
            }
            (true, Initialization::Icw3) => {
                self.icw3 = value;
                self.initialization = self.after_icw3();
            }
            (true, Initialization::Icw4) => {
                self.icw4 = Icw4(value);
                self.initialization = Initialization::Complete;
            }
        }
    }

    fn after_icw3(&self) -> Initialization {
        if self.icw1.needs_icw4() { Initialization::Icw4 } else { Initialization::Complete }
    }

    /// "Initialization Command Words 1 and 2", the list of what ICW1 does automatically. A slave's identity
    /// becomes 7; a master gets its ICW3 anyway.
    fn initialize(&mut self, icw1: Icw1) {
        *self = Chip {
            lines: self.lines,
            elcr: self.elcr,
            imr: 0,
            icw1,
            icw2: self.icw2,
            icw3: 7,
            initialization: Initialization::Icw2,
            ..Chip::power_on()
        };
    }

    fn command(&mut self, ocw3: Ocw3) {
        self.special_mask = ocw3.special_mask_mode().unwrap_or(self.special_mask);
        self.read_in_service = ocw3.read_in_service().unwrap_or(self.read_in_service);
        self.poll = ocw3.poll();
    }

    fn end_or_rotate(&mut self, command: Ocw2) {
        match command {
            Ocw2::NoOperation => {}
            Ocw2::ClearRotateInAutomaticEoi => self.rotate_in_automatic_eoi = false,
            Ocw2::SetRotateInAutomaticEoi => self.rotate_in_automatic_eoi = true,
            Ocw2::NonSpecificEoi => {
                self.end_highest();
            }
            Ocw2::SpecificEoi(level) => self.isr &= !(1 << level),
            Ocw2::RotateOnNonSpecificEoi => {
                if let Some(level) = self.end_highest() {
                    self.lowest = level;
                }
            }
            Ocw2::SetPriority(level) => self.lowest = level,
            Ocw2::RotateOnSpecificEoi(level) => {
                self.isr &= !(1 << level);
                self.lowest = level;
            }
        }
    }

    /// "Special Mask Mode": a masked in-service bit is not cleared by a non-specific EOI.
    fn end_highest(&mut self) -> Option<u8> {
        let level = self.highest(self.resolving_isr())?;
        self.isr &= !(1 << level);
        Some(level)
    }
}
