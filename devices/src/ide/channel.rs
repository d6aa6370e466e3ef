//! One IDE channel: a cable with up to two drives, and the interrupt line that they share.

use super::bus_master::BusMaster;
use super::drive::{Direction, Drive, Protocol};
use super::spec::{EXECUTE_DEVICE_DIAGNOSTIC, FLOATING, control, device, register};
use crate::access::DmaMemory;
use crate::irq::IrqLine;
use crate::time::GuestTime;

#[derive(Debug)]
pub(super) struct Channel {
    pub drives: [Option<Drive>; 2],
    /// The DEV bit: which drive the host talks to.
    pub selected: usize,
    /// Device Control as last written.
    pub control: u8,
    /// INTRQ, as the line was last driven.
    pub intrq: bool,
    pub bus_master: BusMaster,
    pub line: IrqLine,
}

impl Channel {
    pub fn new(line: IrqLine) -> Self {
        Channel {
            drives: [None, None],
            selected: 0,
            control: 0,
            intrq: false,
            bus_master: BusMaster::default(),
            line,
        }
    }

    /// Drives the interrupt line: the selected drive does, unless nIEN forbids it.
    pub fn sync(&mut self) {
        let pending = self.drives[self.selected].as_ref().is_some_and(|drive| drive.interrupt);
        let intrq = pending && self.control & control::NIEN == 0;
        if intrq != self.intrq {
            self.intrq = intrq;
            self.line.set(intrq);
            if intrq {
                self.bus_master.note_interrupt();
            }
        }
    }

    /// A read of the command block, Data apart.
    pub fn read_register(&mut self, offset: u8) -> u8 {
        let value = match &mut self.drives {
            drives if drives[self.selected].is_some() => {
                drives[self.selected].as_mut().map_or(FLOATING, |drive| drive.read(offset, self.control))
            }
            // ATA/ATAPI-6, "Single device configurations": device 0 answers in place of an absent device 1,
            // from its own registers but with a Status of zero.
            [Some(drive), None] if offset != register::STATUS => drive.read(offset, self.control),
            [Some(_), None] => 0,
            _ => FLOATING,
        };
        self.sync();
        value
    }

    /// A read of Alternate Status: Status without its side effect.
    pub fn read_alternate_status(&self) -> u8 {
        match (&self.drives[self.selected], &self.drives[0]) {
            (Some(drive), _) => drive.status(),
            (None, Some(_)) => 0,
            (None, None) => FLOATING,
        }
    }

    /// A write to the command block, Data apart. Both drives hear it; the selected one executes commands.
    pub fn write_register(&mut self, offset: u8, value: u8, now: GuestTime) {
        self.control &= !control::HOB;
        match offset {
            register::STATUS if value == EXECUTE_DEVICE_DIAGNOSTIC => {
                self.selected = 0;
                for (number, drive) in self.drives.iter_mut().enumerate() {
                    if let Some(drive) = drive {
                        drive.diagnose(now, number == 0);
                    }
                }
            }
            register::STATUS => {
                if let Some(drive) = &mut self.drives[self.selected] {
                    drive.execute(value, now);
                }
            }
            _ => {
                if offset == register::DEVICE {
                    self.selected = usize::from(value & device::DEV != 0);
                }
                for drive in self.drives.iter_mut().flatten() {
                    drive.write(offset, value);
                }
            }
        }
        self.sync();
    }

    /// A write to Device Control.
    pub fn write_control(&mut self, value: u8, now: GuestTime) {
        let (before, after) = (self.control & control::SRST, value & control::SRST);
        self.control = value & (control::NIEN | control::SRST | control::HOB);
        if before != after {
            self.selected = 0;
            for drive in self.drives.iter_mut().flatten() {
                if after != 0 {
                    drive.hold_reset();
                } else {
                    drive.release_reset(now);
                }
            }
        }
        self.sync();
    }

    /// Bytes of the present data block that the Data register is still to move in this direction.
    pub fn data_left(&mut self, direction: Direction) -> usize {
        match &mut self.drives[self.selected] {
            Some(drive) if drive.offers(direction, Protocol::Pio) => drive.window().len(),
            _ => 0,
        }
    }

    /// Reads from the Data register into `buffer`, up to the end of the data block; returns how many bytes
    /// there were.
    pub fn read_data(&mut self, buffer: &mut [u8], now: GuestTime) -> usize {
        let Some(drive) = &mut self.drives[self.selected] else {
            return 0;
        };
        if !drive.offers(Direction::In, Protocol::Pio) {
            return 0;
        }
        let window = drive.window();
        let count = window.len().min(buffer.len());
        buffer[..count].copy_from_slice(&window[..count]);
        drive.moved(count, now);
        self.sync();
        count
    }

    /// Writes `bytes` to the Data register, up to the end of the data block; returns how many were taken.
    pub fn write_data(&mut self, bytes: &[u8], now: GuestTime) -> usize {
        let Some(drive) = &mut self.drives[self.selected] else {
            return 0;
        };
        if !drive.offers(Direction::Out, Protocol::Pio) {
            return 0;
        }
        let window = drive.window();
        let count = window.len().min(bytes.len());
        window[..count].copy_from_slice(&bytes[..count]);
        drive.moved(count, now);
        self.sync();
        count
    }

    /// Whether [`Channel::run_bus_master`] would move data.
    pub fn wants_bus_master(&self) -> bool {
        let drive = self.drives[self.selected].as_ref();
        let direction = self.bus_master.direction();
        direction.zip(drive).is_some_and(|(direction, drive)| drive.offers(direction, Protocol::Dma))
    }

    /// Moves data between memory and the selected drive for as long as the drive asks for it and the bus
    /// master is active. Ends, at the latest, with the data that the drive has in its buffer.
    pub fn run_bus_master(&mut self, memory: &mut dyn DmaMemory, now: GuestTime) {
        while let Some(direction) = self.bus_master.direction()
            && let Some(drive) = &mut self.drives[self.selected]
            && drive.offers(direction, Protocol::Dma)
        {
            let window = drive.window();
            let mut count = 0;
            if !window.is_empty() {
                let (address, length) = self.bus_master.span(window.len(), memory);
                match direction {
                    Direction::In => memory.write(address, &window[..length]),
                    Direction::Out => memory.read(address, &mut window[..length]),
                }
                self.bus_master.moved(length);
                count = length;
            }
            drive.moved(count, now);
        }
        self.sync();
    }

    /// RESET-.
    pub fn reset(&mut self) {
        self.bus_master = BusMaster::default();
        (self.selected, self.control) = (0, 0);
        for drive in self.drives.iter_mut().flatten() {
            drive.hardware_reset();
        }
        self.sync();
    }

    pub fn next_event(&self) -> Option<GuestTime> {
        self.drives.iter().flatten().filter_map(Drive::next_event).min()
    }

    pub fn advance(&mut self, now: GuestTime) {
        for drive in self.drives.iter_mut().flatten() {
            drive.advance(now);
        }
        self.sync();
    }
}
