//! Tests of the controller and its drives, each named after the behaviour that the standard documents.

mod cdrom;
mod disk;
mod dma;
mod drives;
mod hostile;

use super::spec::{register, status};
use super::*;
use crate::backend::MemoryMedium;
use crate::irq::{IrqBank, IrqInputs};
use crate::time::GuestDuration;
use std::sync::{Arc, Mutex};

/// A medium that a test can still look at while a drive has it.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<MemoryMedium>>);

impl Shared {
    fn new(medium: MemoryMedium) -> Self {
        Shared(Arc::new(Mutex::new(medium)))
    }

    /// `sectors` sectors of 512 bytes, each full of bytes that depend on its number.
    fn numbered(sectors: u32) -> Self {
        Self::new(MemoryMedium::new((0..sectors).flat_map(sector_content).collect()))
    }

    fn content(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes().to_vec()
    }
}

impl Medium for Shared {
    fn size(&self) -> u64 {
        self.0.lock().unwrap().size()
    }
    fn is_read_only(&self) -> bool {
        self.0.lock().unwrap().is_read_only()
    }
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), crate::backend::MediumError> {
        self.0.lock().unwrap().read(offset, buffer)
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), crate::backend::MediumError> {
        self.0.lock().unwrap().write(offset, bytes)
    }
    fn flush(&mut self) -> Result<(), crate::backend::MediumError> {
        self.0.lock().unwrap().flush()
    }
}

/// What sector `number` of a numbered medium holds.
fn sector_content(number: u32) -> [u8; SECTOR] {
    std::array::from_fn(|i| (number.wrapping_mul(31).wrapping_add(i as u32 * 7) ^ (number >> 8)) as u8)
}

fn identity() -> Identity {
    Identity { serial: "SN-1".into(), firmware: "1.0".into(), model: "Test disk".into() }
}

/// Ones wherever the status is as an idle drive has it.
const IDLE: u8 = status::DRDY | status::DSC;

/// A program on the primary channel: it issues commands and lets time pass.
struct Host {
    ide: Ide,
    irq: IrqInputs,
    now: GuestTime,
    channel: u16,
}

impl Host {
    fn new() -> Self {
        let bank = IrqBank::new();
        let ide = Ide::new([bank.line(14), bank.line(15)]);
        Host { ide, irq: bank.inputs(0), now: GuestTime::ZERO, channel: 0 }
    }

    fn with_disk(medium: Shared) -> Self {
        let mut host = Host::new();
        host.ide.attach_disk(Slot::ALL[0], Box::new(medium), identity(), None).unwrap();
        host
    }

    fn base(&self) -> u16 {
        self.channel * CHANNEL_STRIDE
    }

    fn read(&mut self, register: u8) -> u8 {
        let offset = self.base() + u16::from(register);
        self.ide.read_port(offset, AccessSize::Byte, self.now).unwrap() as u8
    }

    fn write(&mut self, register: u8, value: u8) {
        let offset = self.base() + u16::from(register);
        self.ide.write_port(offset, AccessSize::Byte, u32::from(value), self.now).unwrap();
    }

    fn write_control(&mut self, value: u8) {
        let offset = self.base() + CONTROL;
        self.ide.write_port(offset, AccessSize::Byte, u32::from(value), self.now).unwrap();
    }

    fn status(&mut self) -> u8 {
        self.read(register::STATUS)
    }

    fn alternate_status(&mut self) -> u8 {
        let offset = self.base() + CONTROL;
        self.ide.read_port(offset, AccessSize::Byte, self.now).unwrap() as u8
    }

    fn irq(&self) -> bool {
        self.irq.levels() & 1 << (14 + self.channel) != 0
    }

    fn pass(&mut self, span: GuestDuration) {
        self.now = self.now + span;
        self.ide.advance(self.now);
    }

    /// Lets time pass, event by event, until the selected drive is not busy.
    fn wait(&mut self) {
        for _ in 0..100_000 {
            if self.alternate_status() & status::BSY == 0 {
                return;
            }
            self.now = self.ide.next_event().expect("a busy drive has something to do").max(self.now);
            self.ide.advance(self.now);
        }
        panic!("the drive stays busy");
    }

    /// Writes count, 28-bit address and command.
    fn command(&mut self, code: u8, lba: u32, count: u8) {
        let [top, high, mid, low] = lba.to_be_bytes();
        let device = self.read(register::DEVICE) & 0x10;
        self.write(register::DEVICE, 0xE0 | device | top);
        self.write(register::COUNT, count);
        self.write(register::LBA_LOW, low);
        self.write(register::LBA_MID, mid);
        self.write(register::LBA_HIGH, high);
        self.write(register::STATUS, code);
    }

    /// Writes count, 48-bit address and command.
    fn command_ext(&mut self, code: u8, lba: u64, count: u16) {
        let [_, _, b5, b4, b3, b2, b1, b0] = lba.to_be_bytes();
        let [count_high, count_low] = count.to_be_bytes();
        self.write(register::DEVICE, 0xE0);
        for (register, value) in [
            (register::COUNT, count_high),
            (register::LBA_LOW, b3),
            (register::LBA_MID, b4),
            (register::LBA_HIGH, b5),
            (register::COUNT, count_low),
            (register::LBA_LOW, b0),
            (register::LBA_MID, b1),
            (register::LBA_HIGH, b2),
            (register::STATUS, code),
        ] {
            self.write(register, value);
        }
    }

    /// Writes cylinder, head, sector, count and command.
    fn command_chs(&mut self, code: u8, (cylinder, head, sector): (u16, u8, u8), count: u8) {
        let [high, mid] = cylinder.to_be_bytes();
        self.write(register::DEVICE, 0xA0 | head);
        self.write(register::COUNT, count);
        self.write(register::LBA_LOW, sector);
        self.write(register::LBA_MID, mid);
        self.write(register::LBA_HIGH, high);
        self.write(register::STATUS, code);
    }

    /// A command without data: its status and error.
    fn simple(&mut self, code: u8, lba: u32, count: u8) -> (u8, u8) {
        self.command(code, lba, count);
        self.wait();
        assert!(self.irq(), "command {code:02X} ends with an interrupt");
        (self.status(), self.read(register::ERROR))
    }

    fn set_feature(&mut self, subcommand: u8, parameter: u8) -> u8 {
        self.write(register::ERROR, subcommand);
        self.simple(0xEF, 0, parameter).0
    }

    fn read_words(&mut self, words: usize) -> Vec<u8> {
        let offset = self.base();
        (0..words)
            .flat_map(|_| {
                let word = self.ide.read_port(offset, AccessSize::Word, self.now).unwrap();
                (word as u16).to_le_bytes()
            })
            .collect()
    }

    /// Collects the data of a PIO read as a driver with interrupts does: an interrupt, then `block` bytes.
    fn collect(&mut self, length: usize, block: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            self.wait();
            assert!(self.irq(), "an interrupt announces every block");
            assert_eq!(self.status(), IDLE | status::DRQ);
            assert!(!self.irq(), "reading Status acknowledges the interrupt");
            data.extend(self.read_words(block.min(length - data.len()) / 2));
        }
        data
    }

    /// Provides the data of a PIO write in blocks of `block` bytes; returns status and error at its end.
    fn provide(&mut self, bytes: &[u8], block: usize) -> (u8, u8) {
        for (number, bytes) in bytes.chunks(block).enumerate() {
            self.wait();
            assert_eq!(self.irq(), number > 0, "an interrupt asks for every block but the first");
            assert_eq!(self.status(), IDLE | status::DRQ, "block {number}");
            for word in bytes.chunks(2) {
                let word = u32::from(u16::from_le_bytes([word[0], word[1]]));
                self.ide.write_port(self.base(), AccessSize::Word, word, self.now).unwrap();
            }
        }
        self.wait();
        assert!(self.irq(), "an interrupt tells the end of a write");
        (self.status(), self.read(register::ERROR))
    }

    fn identify(&mut self) -> [u16; 256] {
        self.command(0xEC, 0, 0);
        let data = self.collect(SECTOR, SECTOR);
        std::array::from_fn(|i| u16::from_le_bytes([data[2 * i], data[2 * i + 1]]))
    }
}
