//! DMA of the PC/AT: two 8237A and the page registers. Intel 8237A data sheet; IBM PC/AT Technical Reference.
//!
//! Controller 1 moves bytes on channels 0 to 3; controller 2 moves words on channels 5 to 7, and its channel
//! 4 cascades controller 1. Channels and peripherals meet in [`Dma::service`], which the machine calls with
//! the peripheral of a channel whenever that may want the bus: after an access to it, after an event of it,
//! and after an access to the DMA ports (a channel may have been unmasked). A call costs one look at DREQ
//! when there is nothing to do.
//!
//! What a peripheral sees, unit by unit, is what the chip sees on its pins: it holds DREQ
//! ([`DmaPeripheral::dma_request`]) while it wants a transfer, gets an acknowledge cycle that takes, gives or
//! only counts a unit, and with the last cycle TC. A floppy controller asserts DREQ when a byte (or a whole
//! sector) is ready, drops it when it has nothing more, and ends its command at TC. If the channel is masked
//! or misprogrammed, DREQ simply stays unserved, and overrun is the peripheral's own business.

mod controller;
mod spec;
mod state;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, DmaMemory, IoError, PortIo, PortRange};
use crate::reset::Reset;
use crate::time::GuestTime;
use controller::Controller;
use spec::{PAGE_OF_CHANNEL, Service, Transfer};

pub use state::DmaState;

/// A device on a DMA channel. Which cycle it gets is programmed into the DMA controller by the guest and
/// may contradict what the device expects; it answers as its data sheet says, or gives ones and ignores data.
/// Byte-wide devices use the low 8 bits of a unit.
pub trait DmaPeripheral {
    /// The level of DREQ.
    fn dma_request(&self) -> bool;
    /// An acknowledge cycle with IOR: the device gives a unit, which goes to memory.
    fn dma_read(&mut self, now: GuestTime) -> u16;
    /// An acknowledge cycle with IOW: the device takes a unit from memory.
    fn dma_write(&mut self, unit: u16, now: GuestTime);
    /// An acknowledge cycle without a data strobe (verify transfer).
    fn dma_verify(&mut self, now: GuestTime);
    /// TC: the cycle just done was the last one of the programmed count. Autoinitialized channels go on.
    fn dma_terminal_count(&mut self, now: GuestTime);
}

/// An empty DMA channel: never requests, reads as ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeripheral;

impl DmaPeripheral for NoPeripheral {
    fn dma_request(&self) -> bool {
        false
    }
    fn dma_read(&mut self, _: GuestTime) -> u16 {
        u16::MAX
    }
    fn dma_write(&mut self, _: u16, _: GuestTime) {}
    fn dma_verify(&mut self, _: GuestTime) {}
    fn dma_terminal_count(&mut self, _: GuestTime) {}
}

/// What one call of [`Dma::service`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serviced {
    /// Units (bytes on channels 0 to 3, words on 5 to 7) transferred or verified, at most 65,536.
    pub units: u32,
    /// Whether the count ran out at least once.
    pub terminal_count: bool,
}

/// The most units of one service: a full count. A peripheral that never drops DREQ on an autoinitialized
/// channel is served again by the next call.
const UNITS_PER_SERVICE: u32 = 0x1_0000;

/// The two 8237A and the page registers.
///
/// Register offsets: 00-0Fh controller 1; 10-1Fh page registers; 20-3Fh controller 2, each register twice.
#[derive(Debug, Default)]
pub struct Dma {
    controllers: [Controller; 2],
    pages: [u8; 16],
}

impl Dma {
    /// The ports of the PC/AT. Port 80h, the page register that no channel uses, is left to
    /// [`PostCode`](crate::post_code::PostCode).
    pub const PORTS: &[PortRange] =
        &[PortRange::new(0x00, 16, 0x00), PortRange::new(0x81, 15, 0x11), PortRange::new(0xC0, 32, 0x20)];

    /// Controllers after a reset, pages zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `peripheral` on `channel` (0 to 7) until it drops DREQ, the count runs out, or a full count has
    /// been moved. Nothing moves on a masked channel, on a cascade channel, while the controller is disabled,
    /// or, for channels 0 to 3, while channel 4 does not cascade; a channel number above 7 is connected to
    /// nothing.
    pub fn service(
        &mut self,
        channel: u8,
        peripheral: &mut dyn DmaPeripheral,
        memory: &mut dyn DmaMemory,
        now: GuestTime,
    ) -> Serviced {
        let mut done = Serviced::default();
        let (index, wide) = match channel {
            0..4 => (usize::from(channel), false),
            4..8 => (usize::from(channel - 4), true),
            _ => return done,
        };
        let passed_through = wide || self.cascade_open();
        let mode = self.controllers[usize::from(wide)].channels[index].mode;
        let mut block_running = false;
        loop {
            let request = peripheral.dma_request();
            let controller = &mut self.controllers[usize::from(wide)];
            controller.dreq = controller.dreq & !(1 << index) | u8::from(request) << index;
            if !(passed_through && (block_running || controller.would_serve(index, request)))
                || mode.service() == Service::Cascade
                || done.units == UNITS_PER_SERVICE
            {
                return done;
            }
            let address = self.physical_address(channel);
            transfer(mode.transfer(), wide, address, peripheral, memory, now);
            done.units += 1;
            let end = self.controllers[usize::from(wide)].complete_unit(index);
            block_running = mode.service() == Service::Block && !end;
            if end {
                done.terminal_count = true;
                peripheral.dma_terminal_count(now);
            }
        }
    }

    /// The channels that the guest asked to be served by the request register, channel 0 in bit 0. The
    /// machine serves them with their peripheral, or [`NoPeripheral`] where there is none. A
    /// memory-to-memory copy is not among them.
    pub fn software_requests(&self) -> u8 {
        let [first, second] = &self.controllers;
        let copy = u8::from(first.command.memory_to_memory());
        (first.request & !copy) | second.request << 4
    }

    /// Whether the guest has started a memory-to-memory copy.
    pub fn memory_to_memory_requested(&self) -> bool {
        let first = &self.controllers[0];
        first.command.memory_to_memory() && self.cascade_open() && first.would_serve(0, false)
    }

    /// Performs a requested memory-to-memory copy, from channel 0's address to channel 1's, at most 65,536
    /// bytes. Each channel uses its own page register. Controller 2 cannot copy: its channel 0 cascades.
    pub fn copy_memory_to_memory(&mut self, memory: &mut dyn DmaMemory) {
        while self.memory_to_memory_requested() {
            let mut byte = [0];
            memory.read(self.physical_address(0), &mut byte);
            memory.write(self.physical_address(1), &byte);
            self.controllers[0].temporary = byte[0];
            if self.controllers[0].complete_copied_byte() {
                break;
            }
        }
    }

    /// Whether controller 1 gets the bus through channel 4.
    fn cascade_open(&self) -> bool {
        let second = &self.controllers[1];
        second.channels[0].mode.service() == Service::Cascade && second.would_serve(0, true)
    }

    /// The 24-bit address of the next unit. Word channels shift the address by one; A16 comes from the
    /// address counter there, not from the page. The page does not change when the counter wraps.
    fn physical_address(&self, channel: u8) -> u64 {
        let page = u64::from(self.pages[PAGE_OF_CHANNEL[usize::from(channel)]]);
        let address =
            u64::from(self.controllers[usize::from(channel >> 2)].channels[usize::from(channel & 3)].address);
        if channel < 4 { page << 16 | address } else { (page & 0xFE) << 16 | address << 1 }
    }
}

fn transfer(
    transfer: Transfer,
    wide: bool,
    address: u64,
    peripheral: &mut dyn DmaPeripheral,
    memory: &mut dyn DmaMemory,
    now: GuestTime,
) {
    let mut bytes = [0; 2];
    let width = if wide { 2 } else { 1 };
    match transfer {
        Transfer::Verify => peripheral.dma_verify(now),
        Transfer::Write => {
            bytes = peripheral.dma_read(now).to_le_bytes();
            memory.write(address, &bytes[..width]);
        }
        Transfer::Read => {
            memory.read(address, &mut bytes[..width]);
            peripheral.dma_write(u16::from_le_bytes(bytes), now);
        }
    }
}

/// What a register offset selects.
enum Register {
    Controller(usize, u8),
    Page(usize),
}

fn decode(offset: u16, size: AccessSize) -> Result<Register, IoError> {
    size.only_byte()?;
    match offset {
        0x00..0x10 => Ok(Register::Controller(0, offset as u8)),
        0x10..0x20 => Ok(Register::Page(usize::from(offset - 0x10))),
        0x20..0x40 => Ok(Register::Controller(1, ((offset - 0x20) >> 1) as u8)),
        _ => Err(IoError::NoSuchRegister),
    }
}

impl PortIo for Dma {
    fn read_port(&mut self, offset: u16, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        match decode(offset, size)? {
            Register::Controller(controller, address) => {
                self.controllers[controller].read(address).map(u32::from)
            }
            Register::Page(page) => Ok(u32::from(self.pages[page])),
        }
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        match decode(offset, size)? {
            Register::Controller(controller, address) => {
                self.controllers[controller].write(address, value as u8)
            }
            Register::Page(page) => {
                self.pages[page] = value as u8;
                Ok(())
            }
        }
    }
}

impl Reset for Dma {
    /// The page registers have no RESET input.
    fn reset(&mut self) {
        self.controllers.iter_mut().for_each(Controller::master_clear);
    }
}
