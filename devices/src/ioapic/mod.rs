//! I/O APIC: 24 interrupt inputs, each redirected as its table entry says. Intel 82093AA data sheet; pin assignment of
//! the Intel MultiProcessor Specification, "I/O Interrupt Assignment Entries".
//!
//! The device watches an interrupt bank beside the 8259A: line `n` is input `n`, except that the timer's line
//! 0 is input 2, and input 0 is the 8259A's INT output. The bank carries assertion, not voltage, so the
//! polarity bits are kept and have no effect.
//!
//! Messages go out through a function: whenever lines or registers may have changed, the machine calls
//! [`IoApic::deliver`] with the local APIC's `receive`. What is not accepted stays pending and is offered again.

mod spec;
mod state;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, IoError, Mmio};
use crate::apic::{DeliveryMode, InterruptMessage};
use crate::irq::IrqInputs;
use crate::reset::Reset;
use crate::time::GuestTime;
use spec::{PINS, Redirection, VERSION, offset, register};

pub use state::IoApicState;

/// The timer's line in the bank, and the input that it drives.
const TIMER_LINE: u32 = 1 << 0;
const TIMER_PIN: u32 = 1 << 2;
/// The input that the 8259A drives.
const PIC_PIN: u32 = 1 << 0;

/// An 82093AA.
///
/// Register offsets: 0 select, 10h window.
#[derive(Debug)]
pub struct IoApic {
    inputs: IrqInputs,
    select: u8,
    /// Bits 27 to 24 of the ID register.
    id: u8,
    table: [Redirection; PINS],
    /// Input levels at the last look, input `n` in bit `n`.
    pins: u32,
    /// Edges that no local APIC has accepted yet.
    edges: u32,
    /// The level of the 8259A's INT output.
    pic_output: bool,
}

/// The numbers of the bits that are set, lowest first.
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}

impl IoApic {
    /// The address of the registers, a page, on a PC.
    pub const BASE_ADDRESS: u64 = 0xFEC0_0000;

    /// An I/O APIC after a reset, all inputs masked.
    pub fn new(inputs: IrqInputs) -> Self {
        let table = [Redirection::RESET; PINS];
        IoApic { inputs, select: 0, id: 0, table, pins: 0, edges: 0, pic_output: false }
    }

    /// Drives input 0 with the 8259A's INT output.
    pub fn set_pic_output(&mut self, asserted: bool) {
        self.pic_output = asserted;
    }

    /// Offers each pending interrupt to `send`, which says whether a local APIC accepted it; lower inputs
    /// first, each at most once.
    pub fn deliver(&mut self, mut send: impl FnMut(InterruptMessage) -> bool) {
        self.look();
        for pin in bits(self.pins | self.edges) {
            let entry = self.table[pin];
            let Some(message) = entry.message().filter(|_| self.pends(pin)) else { continue };
            if !send(message) {
                continue;
            }
            if entry.level_triggered() {
                self.table[pin].0 |= Redirection::REMOTE_IRR;
            }
            self.edges &= !(1 << pin);
        }
    }

    /// A local APIC has ended the level triggered interrupt `vector`.
    pub fn end_of_interrupt(&mut self, vector: u8) {
        for entry in self.table.iter_mut().filter(|entry| entry.vector() == vector) {
            entry.0 &= !Redirection::REMOTE_IRR;
        }
    }

    /// Whether an input has an interrupt to send. An ExtINT input stands for the 8259A's INT, which is
    /// asserted as long as that has a request, and acknowledged there.
    fn pends(&self, pin: usize) -> bool {
        let (entry, bit) = (self.table[pin], 1 << pin);
        let asserted = self.pins & bit != 0;
        if entry.masked() {
            false
        } else if entry.level_triggered() {
            asserted && !entry.awaits_end()
        } else if entry.delivery() == Some(DeliveryMode::ExtInt) {
            asserted
        } else {
            self.edges & bit != 0
        }
    }

    /// Brings the view of the inputs up to date. Data sheet, "Interrupt Mask": an edge at a masked input is
    /// ignored, not held.
    fn look(&mut self) {
        let pin_of = |lines: u32| {
            let timer = if lines & TIMER_LINE != 0 { TIMER_PIN } else { 0 };
            lines & !(TIMER_LINE | TIMER_PIN) & ((1 << PINS) - 1) | timer
        };
        let pic = if self.pic_output { PIC_PIN } else { 0 };
        let pins = pin_of(self.inputs.levels()) | pic;
        let rose = pin_of(self.inputs.take_rising()) | (pins & !self.pins);
        self.pins = pins;
        // Asked after every access to a device: mostly there is nothing to do.
        for pin in bits(rose | self.edges) {
            if self.table[pin].masked() || self.table[pin].level_triggered() {
                self.edges &= !(1 << pin);
            } else {
                self.edges |= rose & 1 << pin;
            }
        }
    }

    /// The entry of the register selected, and whether it is its high half.
    fn selected_entry(&self) -> Option<(usize, bool)> {
        let half = self.select.checked_sub(register::REDIRECTION)?;
        let pin = usize::from(half >> 1);
        (pin < PINS).then_some((pin, half & 1 != 0))
    }

    fn read_window(&self) -> u32 {
        let id = u32::from(self.id) << 24;
        match (self.select, self.selected_entry()) {
            (register::ID | register::ARBITRATION, _) => id,
            (register::VERSION, _) => VERSION,
            (_, Some((pin, high))) => {
                let pending = if self.edges & 1 << pin != 0 { Redirection::SEND_PENDING } else { 0 };
                ((self.table[pin].0 | pending) >> if high { 32 } else { 0 }) as u32
            }
            _ => 0,
        }
    }

    fn write_window(&mut self, value: u32) {
        if self.select == register::ID {
            self.id = (value >> 24) as u8 & 0xF;
        } else if let Some((pin, high)) = self.selected_entry() {
            self.table[pin].write(high, value);
        }
    }
}

impl Mmio for IoApic {
    fn read_memory(&mut self, offset: u64, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        self.look();
        match (offset, size) {
            (offset::SELECT, AccessSize::Dword | AccessSize::Byte) => Ok(u32::from(self.select)),
            (offset::WINDOW, AccessSize::Dword) => Ok(self.read_window()),
            (..offset::END, _) => Err(IoError::WrongSize),
            _ => Err(IoError::NoSuchRegister),
        }
    }

    fn write_memory(
        &mut self,
        offset: u64,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        // Edges from before the write must meet the table from before the write.
        self.look();
        match (offset, size) {
            (offset::SELECT, AccessSize::Dword | AccessSize::Byte) => self.select = value as u8,
            (offset::WINDOW, AccessSize::Dword) => self.write_window(value),
            (..offset::END, _) => return Err(IoError::WrongSize),
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }
}

impl Reset for IoApic {
    /// Lines keep their levels; an input that is asserted must be asserted anew to be an edge.
    fn reset(&mut self) {
        self.look();
        self.select = 0;
        self.id = 0;
        self.table = [Redirection::RESET; PINS];
        self.edges = 0;
    }
}
