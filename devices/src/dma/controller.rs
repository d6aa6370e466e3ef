//! One 8237A: four channels, its registers, and the arithmetic of one transfer.

use super::spec::{Command, Mode, register};
use crate::access::IoError;
use serde::{Deserialize, Serialize};

/// One channel's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Base address, which autoinitialization reloads.
    pub base_address: u16,
    /// Base word count, one less than the number of units.
    pub base_count: u16,
    /// Current address.
    pub address: u16,
    /// Current word count.
    pub count: u16,
    /// Mode register.
    pub mode: Mode,
}

impl Channel {
    /// Counts one unit; true at terminal count, when the count passes from 0 to FFFFh.
    fn step(&mut self, hold_address: bool) -> bool {
        if !hold_address {
            let next = if self.mode.address_decrement() { u16::MAX } else { 1 };
            self.address = self.address.wrapping_add(next);
        }
        self.count = self.count.wrapping_sub(1);
        self.count == u16::MAX
    }

    fn reload(&mut self) {
        self.address = self.base_address;
        self.count = self.base_count;
    }
}

/// One 8237A. Bit `n` of a channel set is channel `n` of this controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// The channels.
    pub channels: [Channel; 4],
    /// Command register.
    pub command: Command,
    /// Software requests.
    pub request: u8,
    /// Masked channels.
    pub mask: u8,
    /// Channels that reached terminal count since the status was read.
    pub terminal_count: u8,
    /// DREQ levels at the last service.
    pub dreq: u8,
    /// The last byte of a memory-to-memory copy.
    pub temporary: u8,
    /// The byte pointer flip-flop: the next address or count access means the high byte.
    pub high_byte_next: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Controller {
            channels: [Channel::default(); 4],
            command: Command(0),
            request: 0,
            mask: 0xF,
            terminal_count: 0,
            dreq: 0,
            temporary: 0,
            high_byte_next: false,
        }
    }
}

impl Controller {
    /// Whether every field is within its register's width.
    pub(super) fn is_valid(&self) -> bool {
        [self.request, self.mask, self.terminal_count, self.dreq].iter().all(|set| *set <= 0xF)
    }

    /// Data sheet, "Software Commands": Master Clear has the same effect as a hardware Reset. Addresses,
    /// counts and modes stay.
    pub(super) fn master_clear(&mut self) {
        *self = Controller { channels: self.channels, dreq: self.dreq, ..Controller::default() };
    }

    pub(super) fn read(&mut self, address: u8) -> Result<u8, IoError> {
        match address {
            0..8 => {
                let channel = &self.channels[usize::from(address >> 1)];
                let value = if address & 1 == 0 { channel.address } else { channel.count };
                Ok(value.to_le_bytes()[self.next_byte()])
            }
            register::STATUS_COMMAND => {
                let requests = (self.dreq | self.request) << 4;
                Ok(requests | std::mem::take(&mut self.terminal_count))
            }
            register::TEMPORARY_MASTER_CLEAR => Ok(self.temporary),
            _ => Err(IoError::NoSuchRegister),
        }
    }

    pub(super) fn write(&mut self, address: u8, value: u8) -> Result<(), IoError> {
        let named = 1 << (value & 3);
        let assign = |set: u8| if value & 4 != 0 { set | named } else { set & !named };
        match address {
            0..8 => self.write_address_or_count(address, value),
            register::STATUS_COMMAND => self.command = Command(value),
            register::REQUEST => self.request = assign(self.request),
            register::SINGLE_MASK => self.mask = assign(self.mask),
            register::MODE => self.channels[usize::from(value & 3)].mode = Mode(value & !3),
            register::CLEAR_FLIP_FLOP => self.high_byte_next = false,
            register::TEMPORARY_MASTER_CLEAR => self.master_clear(),
            register::CLEAR_MASK => self.mask = 0,
            register::ALL_MASK => self.mask = value & 0xF,
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }

    /// Base and current register are written together, byte by byte.
    fn write_address_or_count(&mut self, address: u8, value: u8) {
        let byte = self.next_byte();
        let channel = &mut self.channels[usize::from(address >> 1)];
        let (base, current) = if address & 1 == 0 {
            (&mut channel.base_address, &mut channel.address)
        } else {
            (&mut channel.base_count, &mut channel.count)
        };
        for register in [base, current] {
            let mut bytes = register.to_le_bytes();
            bytes[byte] = value;
            *register = u16::from_le_bytes(bytes);
        }
    }

    /// Which byte of a register the flip-flop points at; toggles it.
    fn next_byte(&mut self) -> usize {
        self.high_byte_next = !self.high_byte_next;
        usize::from(!self.high_byte_next)
    }

    /// Whether this controller would serve `channel`: software requests cannot be masked.
    pub(super) fn would_serve(&self, channel: usize, request: bool) -> bool {
        let bit = 1 << channel;
        !self.command.controller_disabled() && (self.request & bit != 0 || (request && self.mask & bit == 0))
    }

    /// Counts the unit that `channel` just transferred and ends the service at terminal count, which it
    /// reports.
    pub(super) fn complete_unit(&mut self, channel: usize) -> bool {
        let end = self.channels[channel].step(false);
        if end {
            self.end_of_process(channel);
            self.request &= !(1 << channel);
        }
        end
    }

    /// Counts one byte of a memory-to-memory copy; true at its end.
    pub(super) fn complete_copied_byte(&mut self) -> bool {
        self.channels[0].step(self.command.channel_0_address_hold());
        let end = self.channels[1].step(false);
        if end {
            self.end_of_process(1);
            if self.channels[0].mode.autoinitialize() {
                self.channels[0].reload();
            }
            self.request &= !1;
        }
        end
    }

    fn end_of_process(&mut self, channel: usize) {
        self.terminal_count |= 1 << channel;
        if self.channels[channel].mode.autoinitialize() {
            self.channels[channel].reload();
        } else {
            self.mask |= 1 << channel;
        }
    }
}
