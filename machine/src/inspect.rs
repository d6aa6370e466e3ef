//! Looking at a machine: screen, what it printed, memory.

use crate::input::Input;
use crate::machine::Machine;
use idem86_cpu::bus::Biu;
use idem86_devices::access::DmaMemory;
use std::cell::Cell;

/// The guest's page tables map nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is mapped at linear address {0:#x}")]
pub struct NotMapped(pub u32);

impl Machine {
    /// Takes what serial port `port` (0 is COM1) printed since the last call; of very much, the last mebibyte.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn serial_output(&mut self, port: u8) -> Vec<u8> {
        self.collect_output();
        self.outputs.serial[usize::from(port)].take()
    }

    /// What serial port `port` printed, without taking it.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn peek_serial(&mut self, port: u8) -> &[u8] {
        self.collect_output();
        self.outputs.serial[usize::from(port)].kept()
    }

    /// Takes what came from the debug console since the last call; of very much, the last mebibyte.
    pub fn debug_output(&mut self) -> Vec<u8> {
        self.collect_output();
        self.outputs.debug_console.take()
    }

    /// Reads physical memory, as a bus master sees it: what is neither RAM nor ROM reads as ones.
    pub fn read_physical(&mut self, address: u64, buffer: &mut [u8]) {
        self.memory().read(address, buffer);
    }

    /// Writes physical memory, as a bus master does: what is not RAM stays as it is. Code there, even if it was
    /// translated, is what was written from now on.
    pub fn write_physical(&mut self, address: u64, bytes: &[u8]) {
        if self.is_recording() {
            let input = Input::Memory { address, bytes: bytes.into() };
            self.input(input).expect("memory can always be written");
        } else {
            self.memory().write(address, bytes);
        }
    }

    /// Reads memory at a linear address, through the guest's page tables but without their rights, and without leaving
    /// a trace in them. What is mapped to neither RAM nor ROM reads as ones.
    pub fn read_linear(&mut self, linear: u32, buffer: &mut [u8]) -> Result<(), NotMapped> {
        let mut done = 0;
        for (physical, len) in self.linear_pieces(linear, buffer.len())? {
            self.read_physical(physical, &mut buffer[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Writes memory at a linear address, through the guest's page tables but without their rights. If a part of it is
    /// not mapped, nothing is written.
    pub fn write_linear(&mut self, linear: u32, bytes: &[u8]) -> Result<(), NotMapped> {
        let mut done = 0;
        for (physical, len) in self.linear_pieces(linear, bytes.len())? {
            self.write_physical(physical, &bytes[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Where `len` bytes at `linear` are in physical memory: (address, length), page by page.
    fn linear_pieces(&mut self, linear: u32, len: usize) -> Result<Vec<(u64, usize)>, NotMapped> {
        let ram = Cell::from_mut(&mut *self.slab).as_slice_of_cells();
        let mut biu = Biu::new(ram, &mut self.board);
        let (mut at, mut left, mut pieces) = (linear, len, Vec::new());
        while left > 0 {
            let piece = left.min(0x1000 - (at & 0xFFF) as usize);
            let physical = self.cpu.peek_address(&mut biu, at.into()).ok_or(NotMapped(at))?;
            pieces.push((physical, piece));
            at = at.wrapping_add(piece as u32);
            left -= piece;
        }
        Ok(pieces)
    }

    /// The text screen, its rows ending in line feeds; `None` in graphics modes.
    pub fn screen_text(&self) -> Option<String> {
        self.board.vga.text_screen().map(|screen| screen.to_string())
    }
}
