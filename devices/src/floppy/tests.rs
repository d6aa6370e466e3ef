//! The documented behaviour of the controller and its drives; data transfers are in the module below.

mod hostile;
mod transfers;

use super::format::SECTOR;
use super::*;
use crate::access::DmaMemory;
use crate::backend::MemoryMedium;
use crate::dma::Dma;
use crate::irq::{IrqBank, IrqInputs};
use crate::state::Snapshot;

/// Digital output register: drive 0 selected with its motor on, requests enabled, no reset.
const DRIVE_0_ON: u8 = 0x1C;

/// A controller on line 6 and DMA channel 2, and the time.
struct Bench {
    floppy: Floppy,
    dma: Dma,
    memory: Vec<u8>,
    lines: IrqInputs,
    now: GuestTime,
}

/// What the `n`th sector of a test diskette holds.
fn sector_content(n: usize) -> Vec<u8> {
    (0..SECTOR).map(|i| (n ^ i.wrapping_mul(7) ^ (n >> 8)) as u8).collect()
}

/// A diskette on which every sector differs.
fn numbered(size: u64) -> MemoryMedium {
    MemoryMedium::new((0..size as usize / SECTOR).flat_map(sector_content).collect())
}

impl Bench {
    fn with_drives(drives: [Option<DriveType>; 4], pace: Pace) -> Self {
        let bank = IrqBank::new();
        Bench {
            floppy: Floppy::new(bank.line(6), drives, pace),
            dma: Dma::new(),
            memory: vec![0xEE; 0x1_0000],
            lines: bank.inputs(0),
            now: GuestTime::from_nanos(1_000_000_000),
        }
    }

    /// A diskette of `size` bytes in a drive of its type, ready to be used at its data rate.
    fn with_diskette(size: u64, pace: Pace) -> Self {
        let kind = Format::of_size(size).unwrap().drive_type();
        let mut bench = Self::with_drives([Some(kind), None, None, None], pace);
        bench.floppy.insert(0, Box::new(numbered(size))).unwrap();
        bench.turn_on();
        bench
    }

    /// A diskette of 1.44 MB.
    fn new() -> Self {
        Self::with_diskette(1_474_560, Pace::Fast)
    }

    /// Ends the reset, senses its interrupts, and specifies a step rate of 3 ms at 500 kbit/s and DMA.
    fn turn_on(&mut self) {
        self.write(DOR, DRIVE_0_ON);
        for drive in 0..4 {
            assert_eq!(self.ask(&[0x08])[0], 0xC0 | drive);
        }
        self.write(DIR_CCR, 0);
        self.command(&[0x03, 0xDF, 0x02]);
    }

    fn read(&mut self, offset: u16) -> u8 {
        self.floppy.read_port(offset, AccessSize::Byte, self.now).unwrap() as u8
    }

    fn write(&mut self, offset: u16, value: u8) {
        self.floppy.write_port(offset, AccessSize::Byte, value.into(), self.now).unwrap();
    }

    fn status(&mut self) -> u8 {
        self.read(MSR_DSR)
    }

    /// Sends a command as drivers do: a byte whenever the controller asks for one.
    fn command(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            assert_eq!(self.status() & 0xC0, msr::REQUEST, "no byte is wanted");
            self.write(DATA, byte);
        }
    }

    fn result(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.status() & 0xF0 == msr::REQUEST | msr::DATA_OUT | msr::BUSY {
            bytes.push(self.read(DATA));
        }
        bytes
    }

    fn ask(&mut self, command: &[u8]) -> Vec<u8> {
        self.command(command);
        self.result()
    }

    fn irq(&self) -> bool {
        self.lines.levels() & 1 << 6 != 0
    }

    /// Goes to the next event, and lets DMA do what it asks for.
    fn step(&mut self) -> bool {
        let Some(event) = self.floppy.next_event() else { return false };
        assert!(event > self.now, "an event that is not ahead");
        self.now = event;
        self.floppy.advance(event);
        self.dma.service(Floppy::DMA_CHANNEL, &mut self.floppy, &mut self.memory, self.now);
        true
    }

    /// Waits for the interrupt.
    fn wait(&mut self) {
        while !self.irq() {
            assert!(self.step(), "nothing will ever happen");
        }
    }

    /// Runs a command that interrupts at its end.
    fn run(&mut self, command: &[u8]) -> Vec<u8> {
        self.command(command);
        self.wait();
        self.result()
    }

    /// Seeks or recalibrates, and senses the end.
    fn seek(&mut self, command: &[u8]) -> Vec<u8> {
        self.command(command);
        self.wait();
        self.ask(&[0x08])
    }

    fn dma_port(&mut self, port: u16, value: u8) {
        let offset = Dma::PORTS.iter().find_map(|range| range.offset_of(port)).unwrap();
        self.dma.write_port(offset, AccessSize::Byte, value.into(), self.now).unwrap();
    }

    /// Programs channel 2 for `length` bytes at address 0, in single transfers in the direction of `mode`.
    fn program_dma(&mut self, mode: u8, length: usize) {
        let [low, high] = ((length - 1) as u16).to_le_bytes();
        for (port, value) in [
            (0xD6, 0xC0),
            (0xD4, 0),
            (0x0C, 0),
            (0x0B, mode),
            (0x04, 0),
            (0x04, 0),
            (0x05, low),
            (0x05, high),
        ] {
            self.dma_port(port, value);
        }
        for (port, value) in [(0x81, 0), (0x0A, 2)] {
            self.dma_port(port, value);
        }
    }

    fn dma_to_memory(&mut self, length: usize) {
        self.program_dma(0x46, length);
    }

    fn dma_from_memory(&mut self, bytes: &[u8]) {
        self.memory.write(0, bytes);
        self.program_dma(0x4A, bytes.len());
    }

    fn diskette_bytes(&mut self, offset: u64, length: usize) -> Vec<u8> {
        let mut medium = self.floppy.eject(0).unwrap();
        let mut bytes = vec![0; length];
        medium.read(offset, &mut bytes).unwrap();
        self.floppy.insert(0, medium).unwrap();
        bytes
    }
}

#[test]
fn registers_of_the_at_and_no_others_answer() {
    let mut b = Bench::new();
    for offset in [0, 1, 6, 8] {
        assert_eq!(b.floppy.read_port(offset, AccessSize::Byte, b.now), Err(IoError::NoSuchRegister));
    }
    assert_eq!(b.floppy.read_port(DOR, AccessSize::Word, b.now), Err(IoError::WrongSize));
    b.write(TDR, 0xFE);
    assert_eq!((b.read(DOR), b.read(TDR)), (DRIVE_0_ON, 2));
}

#[test]
fn after_a_reset_every_drive_is_to_be_sensed() {
    let mut b = Bench::new();
    b.write(DOR, 0x18);
    assert_eq!((b.status(), b.irq()), (0, false), "held in reset");
    b.write(DOR, DRIVE_0_ON);
    assert_eq!((b.status(), b.irq()), (msr::REQUEST, true));
    for drive in 0..4 {
        assert_eq!(b.ask(&[0x08]), [0xC0 | drive, 0]);
        assert!(!b.irq());
    }
    assert_eq!(b.ask(&[0x08]), [0x80], "nothing is pending");
    b.write(MSR_DSR, DSR_RESET);
    assert!(b.irq(), "a reset that ends itself");
    assert_eq!(b.ask(&[0x08]), [0xC0, 0]);
}

#[test]
fn the_main_status_follows_the_phases_of_a_command() {
    let mut b = Bench::new();
    assert_eq!(b.status(), 0x80);
    b.write(DATA, 0x04);
    assert_eq!(b.status(), 0x90);
    b.write(DATA, 0x00);
    assert_eq!(b.status(), 0xD0);
    b.write(DATA, 0x08);
    assert_eq!(b.read(DATA), 0x38, "written bytes go nowhere; ready, two-sided, track 0, drive 0");
    assert_eq!(b.status(), 0x80);
    b.command(&[0x4A, 0]);
    assert_eq!(b.status(), 0x10, "executing with DMA");
}

#[test]
fn invalid_commands_answer_80h() {
    let mut b = Bench::new();
    // Part ID (18h) is of later chips. Lock, Seek and Specify take no modifiers but their own.
    for command in [0x00, 0x01, 0x0B, 0x15, 0x17, 0x18, 0x1F, 0x43, 0x4F, 0x34, 0x27] {
        assert_eq!(b.ask(&[command]), [0x80], "{command:#x}");
        assert!(!b.irq());
    }
    assert_eq!(b.ask(&[0x10]), [0x90], "version");
}

#[test]
fn dumped_registers_are_those_that_were_set() {
    let mut b = Bench::new();
    b.command(&[0x03, 0xA5, 0x12]);
    b.command(&[0x13, 0x00, 0x57, 0x28]);
    b.command(&[0x12, 0x80 | 0x2E]);
    assert_eq!(b.ask(&[0x94]), [0x10]);
    assert_eq!(b.ask(&[0x0E]), [0, 0, 0, 0, 0xA5, 0x12, 0, 0x80 | 0x2E, 0x57, 0x28]);
    b.command(&[0x12, 0x11]);
    assert_eq!(b.ask(&[0x0E])[7], 0x80 | 0x2D, "the drives' bits need the overwrite bit");

    b.write(MSR_DSR, DSR_RESET);
    assert_eq!(b.ask(&[0x0E])[4..], [0xA5, 0x12, 0, 0x80 | 0x2C, 0x07, 0x28], "locked");
    assert_eq!(b.ask(&[0x14]), [0x00]);
    b.write(MSR_DSR, DSR_RESET);
    assert_eq!(b.ask(&[0x0E])[4..], [0xA5, 0x12, 0, 0x2C, 0x20, 0x00], "unlocked");
}

#[test]
fn a_reset_turns_polling_on_even_when_locked() {
    let mut b = Bench::new();
    b.command(&[0x13, 0x00, 0x10, 0]);
    b.ask(&[0x94]);
    b.write(DOR, 0x18);
    b.write(DOR, DRIVE_0_ON);
    assert!(b.irq());
    assert_eq!(b.ask(&[0x0E])[8], 0);
}

#[test]
fn the_dma_gate_holds_interrupts_back() {
    let mut b = Bench::new();
    b.write(DOR, DRIVE_0_ON & !dor::DMA_GATE);
    b.command(&[0x07, 0]);
    while b.step() {}
    assert!(!b.irq());
    b.write(DOR, DRIVE_0_ON);
    assert!(b.irq());
}

#[test]
fn a_seek_steps_at_the_specified_rate() {
    // "Specify": step rate Dh is 3 ms at 500 kbit/s and longer at lower data rates.
    for (rate, step_us) in [(0, 3_000), (1, 5_000), (2, 6_000), (3, 1_500)] {
        let mut b = Bench::with_diskette(1_474_560, Pace::Real);
        b.write(DIR_CCR, rate);
        let start = b.now;
        b.command(&[0x0F, 0x04, 10]);
        assert_eq!(b.status(), 0x81, "drive 0 is busy, the controller is not");
        b.wait();
        let took = b.now.since(start).as_nanos();
        assert!(took.abs_diff(10 * step_us * 1000) < 10_000, "{took} at rate {rate}");
        assert_eq!(b.status(), 0x80);
        assert_eq!(b.ask(&[0x08]), [0x24, 10], "seek end, head 1");
        assert!(!b.irq());
    }
}

#[test]
fn seeks_of_several_drives_overlap() {
    let mut b = Bench::with_drives([Some(DriveType::Hd35), Some(DriveType::Hd35), None, None], Pace::Fast);
    b.turn_on();
    b.command(&[0x0F, 0, 20]);
    b.command(&[0x0F, 1, 5]);
    assert_eq!(b.status(), 0x83);
    b.wait();
    assert_eq!(b.status(), 0x81);
    b.step();
    b.lines.take_rising();
    assert_eq!(b.ask(&[0x08]), [0x20, 20]);
    assert_eq!(b.lines.take_rising(), 1 << 6, "the other is an interrupt of its own");
    assert_eq!(b.ask(&[0x08]), [0x21, 5]);
    assert_eq!(b.ask(&[0x08]), [0x80]);
}

#[test]
fn recalibration_gives_79_pulses_at_most() {
    let mut b = Bench::new();
    assert_eq!(b.seek(&[0x0F, 0, 255]), [0x20, 255], "the head stops at the last track");
    assert_eq!(b.floppy.track(0), 83);
    assert_eq!(b.seek(&[0x07, 0]), [0x70, 0], "track 0 was not found");
    assert_eq!(b.ask(&[0x04, 0]), [0x28]);
    assert_eq!(b.seek(&[0x07, 0]), [0x20, 0]);
    assert_eq!(b.ask(&[0x04, 4]), [0x3C], "track 0, head 1");
    assert_eq!(b.seek(&[0x07, 2]), [0x72, 0], "there is no drive 2");
    assert_eq!(b.ask(&[0x04, 2]), [0x2A]);
}

#[test]
fn relative_seeks_count_from_the_present_cylinder() {
    let mut b = Bench::new();
    assert_eq!(b.seek(&[0x0F, 0, 30]), [0x20, 30]);
    assert_eq!(b.seek(&[0xCF, 0, 5]), [0x20, 35]);
    assert_eq!(b.seek(&[0x8F, 0, 15]), [0x20, 20]);
    assert_eq!(b.floppy.track(0), 20);
}

#[test]
fn the_change_line_tells_of_a_new_diskette_until_the_head_steps() {
    let mut b = Bench::new();
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, DIR_CHANGED, "after power-on");
    b.seek(&[0x07, 0]);
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, DIR_CHANGED, "no step was needed");
    b.seek(&[0x0F, 0, 1]);
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, 0);
    let diskette = b.floppy.eject(0).unwrap();
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, DIR_CHANGED);
    b.seek(&[0x0F, 0, 2]);
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, DIR_CHANGED, "there is no diskette");
    b.floppy.insert(0, diskette).unwrap();
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, DIR_CHANGED);
    b.write(DOR, 0x0C);
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, 0, "the drive is not selected without its motor");
    b.write(DOR, 0x2D);
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, 0, "there is no drive 1");
    b.write(DOR, DRIVE_0_ON);
    b.seek(&[0x0F, 0, 3]);
    assert_eq!(b.read(DIR_CCR) & DIR_CHANGED, 0);
}

#[test]
fn a_write_protected_diskette_shows_in_status_register_3() {
    let mut b = Bench::new();
    assert_eq!(b.ask(&[0x04, 0]), [0x38]);
    b.floppy.eject(0);
    b.floppy.insert(0, Box::new(numbered(737_280).write_protected())).unwrap();
    assert_eq!(b.ask(&[0x04, 0]), [0x78]);
}

#[test]
fn diskettes_go_only_where_they_fit() {
    use DriveType::*;
    let mut b = Bench::with_drives([Some(Hd35), Some(Hd525), Some(Dd525), Some(Ed35)], Pace::Fast);
    let mut insert = |drive, size: u64| {
        let fits = b.floppy.insert(drive, Box::new(MemoryMedium::new(vec![0; size as usize])));
        b.floppy.eject(drive);
        fits.map(|format| (format.cylinders, format.heads, format.sectors))
    };
    assert_eq!(insert(0, 720 * 1024), Ok((80, 2, 9)));
    assert_eq!(insert(0, 1_720_320), Ok((80, 2, 21)));
    assert_eq!(insert(0, 2880 * 1024), Err(InsertError::WrongDrive));
    assert_eq!(insert(0, 360 * 1024), Err(InsertError::WrongDrive));
    assert_eq!(insert(1, 160 * 1024), Ok((40, 1, 8)));
    assert_eq!(insert(1, 1_228_800), Ok((80, 2, 15)));
    assert_eq!(insert(2, 1_228_800), Err(InsertError::WrongDrive));
    assert_eq!(insert(3, 2880 * 1024), Ok((80, 2, 36)));
    assert_eq!(insert(0, 1_474_561), Err(InsertError::UnknownSize));
    assert_eq!(insert(4, 1_474_560), Err(InsertError::NoDrive));
    b.floppy.insert(0, Box::new(numbered(1_474_560))).unwrap();
    let second = b.floppy.insert(0, Box::new(numbered(1_474_560)));
    assert_eq!(second, Err(InsertError::Occupied));
}

#[test]
fn the_formats_have_the_sizes_they_are_called_by() {
    let kib: Vec<u64> = Format::ALL.iter().map(|format| format.size() / 1024).collect();
    assert_eq!(kib, [160, 180, 320, 360, 640, 720, 1200, 1440, 1680, 1722, 2880]);
}
