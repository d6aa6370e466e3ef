//! The bus: the only outside world that a processor knows.
//!
//! Guest RAM is lent to the processor for the time of a run as a slice of cells, so that plain memory costs no
//! call and whoever owns the RAM (a host mapping, a vector) needs no unsafe code here. Everything else (ports,
//! device memory, interrupt acknowledge, pins) is the [`Bus`] trait.

use crate::report::Event;
use crate::state::gpr::Word;
use std::cell::Cell;

/// Units of work that a processor has retired since it was built: one for each completed instruction (for repeated
/// string instructions one for each iteration), and one for each exception or interrupt that was delivered. Passed
/// with every bus access so that devices can tell the time.
pub type Work = u64;

/// What stands behind a 4-KiB page of physical address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Plain memory at this offset (a multiple of 4096) of the RAM slice.
    Ram(u64),
    /// Memory at this offset of the RAM slice that writes do not reach; they go to [`Bus::write`].
    Rom(u64),
    /// Nothing plain: every access goes to [`Bus::read`] and [`Bus::write`].
    Device,
}

/// The signals that a processor samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// INTR: a maskable interrupt is requested.
    pub intr: bool,
    /// NMI: an edge was seen since the last sample.
    pub nmi: bool,
    /// A20M#: when false, physical address bit 20 is forced to zero.
    pub a20: bool,
    /// RESET or INIT: the run ends with [`crate::run::Stop::Reset`].
    pub reset: bool,
    /// The memory map changed: translations and decoded code must be forgotten.
    pub remapped: bool,
    /// The run is to end at the next instruction boundary: a device's deadline moved or the host wants it.
    pub pause: bool,
}

/// The outside world of a processor.
///
/// Physical addresses are below 2^36. Sizes are 1, 2 or 4 bytes (8 for memory); values are zero-extended.
/// An access never crosses a 4-KiB page. Nobody answers: reads give ones, writes are dropped.
pub trait Bus {
    /// What stands behind the page at physical address `page` (a multiple of 4096). The answer holds until
    /// [`Pins::remapped`] is reported.
    fn page(&mut self, page: u64) -> PageKind;

    /// Reads memory that is not plain RAM.
    fn read(&mut self, address: u64, size: usize, now: Work) -> u64;

    /// Writes memory that is not plain RAM.
    fn write(&mut self, address: u64, size: usize, value: u64, now: Work);

    /// Reads a port.
    fn port_in(&mut self, port: u16, size: usize, now: Work) -> u32;

    /// Writes a port.
    fn port_out(&mut self, port: u16, size: usize, value: u32, now: Work);

    /// Reads a port several times in a row: REP INS into plain memory. Puts items of `size` bytes into `out` and
    /// gives how many; at least one if there is room for one. An item that moves a pin is the last, so that an
    /// interrupt comes between the iterations where it belongs. Unless implemented otherwise, one is read.
    fn port_in_block(&mut self, port: u16, size: usize, out: &mut [u8], now: Work) -> usize {
        let Some(item) = out.get_mut(..size) else { return 0 };
        item.copy_from_slice(&self.port_in(port, size, now).to_le_bytes()[..size]);
        1
    }

    /// Writes a port several times in a row: REP OUTS from plain memory. Gives how many items of `data` were
    /// written; otherwise as [`Bus::port_in_block`].
    fn port_out_block(&mut self, port: u16, size: usize, data: &[u8], now: Work) -> usize {
        let Some(item) = data.get(..size) else { return 0 };
        let mut value = [0; 4];
        value[..size].copy_from_slice(item);
        self.port_out(port, size, u32::from_le_bytes(value), now);
        1
    }

    /// The interrupt acknowledge cycle: the vector of the highest request.
    fn acknowledge_interrupt(&mut self, now: Work) -> u8;

    /// Samples the pins. Called at the start of a run and after every access that reached a device; edges
    /// (NMI, reset, remapped, pause) are consumed by the call.
    fn pins(&mut self) -> Pins;

    /// The time-stamp counter, without the offset that software wrote.
    fn time_stamp(&mut self, now: Work) -> u64 {
        now
    }

    /// By how much [`Bus::time_stamp`] grows with each unit of work, as long as nothing else is asked of the bus.
    /// `None` if it does not depend on work alone.
    fn time_stamp_rate(&self) -> Option<u64> {
        None
    }

    /// FERR#: an unmasked x87 exception is pending while CR0.NE is clear (IRQ 13 on a PC).
    fn ferr(&mut self, _asserted: bool) {}

    /// Whether IGNNE# is asserted (a PC asserts it from a write to port F0h until FERR# is released).
    fn ignne(&mut self) -> bool {
        false
    }

    /// `event` is about to be delivered: the CS:EIP of the processor is still what is interrupted. Called if
    /// [`crate::report::Reports`] ask for it; an event that arises in the delivery of another is reported too.
    fn event(&mut self, _event: Event, _now: Work) {}

    /// The block of code at linear address `linear` is about to be executed. Called if [`crate::report::Reports`] ask
    /// for it.
    fn block(&mut self, _linear: u64, _now: Work) {}

    /// Intercepted memory (see [`crate::cpu::Cpu::add_intercept`]) is about to be read: gives the value in its place,
    /// or `None` to let the read go on. `memory` is what RAM or ROM holds there; a device was not asked yet.
    fn intercept_read(
        &mut self,
        _address: u64,
        _size: usize,
        _memory: Option<u64>,
        _now: Work,
    ) -> Option<u64> {
        None
    }

    /// Intercepted memory is about to be written: gives what is written in fact, or `None` if nothing is.
    fn intercept_write(&mut self, _address: u64, _size: usize, value: u64, _now: Work) -> Option<u64> {
        Some(value)
    }

    /// IA32_APIC_BASE was written; the board moves or disables the local APIC. `false` raises #GP.
    fn write_apic_base(&mut self, _value: u64) -> bool {
        true
    }
}

/// The bus interface unit: RAM and bus for the time of a run.
pub struct Biu<'a> {
    /// Guest RAM; offsets come from [`PageKind`].
    pub ram: &'a [Cell<u8>],
    /// Everything else.
    pub bus: &'a mut dyn Bus,
}

impl<'a> Biu<'a> {
    /// Joins RAM and bus.
    pub fn new(ram: &'a [Cell<u8>], bus: &'a mut dyn Bus) -> Self {
        Biu { ram, bus }
    }

    /// Reads RAM at `offset`; all ones outside it (a bus that promised more RAM than it lent).
    #[inline(always)]
    pub fn ram_read<T: Word>(&self, offset: u64) -> T {
        self.ram.get(offset as usize..).and_then(T::load).unwrap_or(T::from_u64(u64::MAX))
    }

    /// Reads sixteen bytes of RAM at `offset`; all ones outside it.
    #[inline(always)]
    pub fn ram_read_128(&self, offset: u64) -> [u8; 16] {
        let mut bytes = [0xFF; 16];
        if let Some(cells) = self.ram.get(offset as usize..).and_then(|cells| cells.first_chunk::<16>()) {
            for (byte, cell) in bytes.iter_mut().zip(cells) {
                *byte = cell.get();
            }
        }
        bytes
    }

    /// Reads bytes of RAM from `offset` on; all ones outside it.
    #[inline]
    pub fn ram_read_bytes(&self, offset: u64, out: &mut [u8]) {
        let cells = self.ram.get(offset as usize..).unwrap_or_default();
        let (there, outside) = out.split_at_mut(cells.len().min(out.len()));
        there.iter_mut().zip(cells).for_each(|(byte, cell)| *byte = cell.get());
        outside.fill(0xFF);
    }

    /// Writes sixteen bytes of RAM at `offset`; dropped outside it.
    #[inline(always)]
    pub fn ram_write_128(&self, offset: u64, value: &[u8; 16]) {
        if let Some(cells) = self.ram.get(offset as usize..).and_then(|cells| cells.first_chunk::<16>()) {
            for (cell, byte) in cells.iter().zip(value) {
                cell.set(*byte);
            }
        }
    }

    /// Writes RAM at `offset`; dropped outside it.
    #[inline(always)]
    pub fn ram_write<T: Word>(&self, offset: u64, value: T) {
        if let Some(cells) = self.ram.get(offset as usize..) {
            let _ = value.store(cells);
        }
    }
}
