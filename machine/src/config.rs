//! What a machine is made of.

use crate::clock::ClockKind;
use crate::cmos::BootDevice;
use crate::engine::EngineKind;
use crate::memmap::{BIOS_MAX, RAM_MAX};
use idem86_cpu::processor::Processor;
use idem86_devices::backend::Medium;
use idem86_devices::rtc::CivilDateTime;
use idem86_devices::uart::Pace;
use idem86_firmware::loader::Loaded;

/// A device in an IDE place.
#[derive(Debug)]
pub enum IdeDrive {
    /// A hard disk.
    Disk(Box<dyn Medium>),
    /// A CD-ROM drive, perhaps empty.
    Cdrom(Option<Box<dyn Medium>>),
}

/// What the processor finds at the reset vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// Our own BIOS.
    Builtin,
    /// A BIOS image: 64 KiB to 16 MiB, ending at the reset vector.
    Image(Vec<u8>),
}

/// The parts of a machine.
#[derive(Debug)]
pub struct Config {
    /// RAM in bytes: a multiple of 4096 from 1 MiB to 3 GiB.
    pub memory: u64,
    /// The processor.
    pub cpu: Processor,
    /// The BIOS.
    pub firmware: Firmware,
    /// The ROM of the display adapter, put at C0000h; without, our own.
    pub vga_bios: Option<Vec<u8>>,
    /// The diskettes in drives A and B.
    pub floppies: [Option<Box<dyn Medium>>; 2],
    /// Primary master and slave, secondary master and slave.
    pub ide: [Option<IdeDrive>; 4],
    /// A kernel to start instead of booting from a drive.
    pub kernel: Option<Loaded>,
    /// What to boot from, up to three devices in the order in which they are tried.
    pub boot: Vec<BootDevice>,
    /// Where guest time comes from.
    pub clock: ClockKind,
    /// What the real-time clock shows at power-on.
    pub start: CivilDateTime,
    /// Whether serial characters take their time.
    pub serial_pace: Pace,
    /// A reset restarts the machine; without, it ends the run.
    pub reboot: bool,
    /// What executes guest code.
    pub engine: EngineKind,
}

impl Config {
    /// A machine with `memory` bytes of RAM that starts `firmware`, with nothing in its drives, a virtual clock,
    /// and the real-time clock at the first second of the year 2000.
    pub fn new(memory: u64, firmware: Firmware) -> Self {
        Config {
            memory,
            cpu: Processor::default(),
            firmware,
            vga_bios: None,
            floppies: [const { None }; 2],
            ide: [const { None }; 4],
            kernel: None,
            boot: vec![BootDevice::Floppy, BootDevice::Disk, BootDevice::Cdrom],
            clock: ClockKind::Virtual,
            start: CivilDateTime::from_unix_seconds(946_684_800),
            serial_pace: Pace::Immediate,
            reboot: true,
            engine: EngineKind::Interpreter,
        }
    }

    /// Checks what can be wrong with sizes.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.memory.is_multiple_of(4096) || !(1 << 20..=RAM_MAX).contains(&self.memory) {
            return Err(ConfigError::Memory(self.memory));
        }
        if let Firmware::Image(image) = &self.firmware {
            let size = image.len() as u64;
            if !(0x1_0000..=BIOS_MAX).contains(&size) || !size.is_multiple_of(0x1_0000) {
                return Err(ConfigError::BiosSize(size));
            }
        }
        if let Some(rom) = &self.vga_bios
            && (rom.len() > 0x1_0000 || !rom.starts_with(&[0x55, 0xAA]))
        {
            return Err(ConfigError::VgaBios);
        }
        Ok(())
    }
}

/// Why no machine can be built from a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// RAM has a size that the board does not take.
    #[error("{0} bytes of memory: it must be a multiple of 4096 from 1M to 3G")]
    Memory(u64),
    /// A BIOS image of an impossible size.
    #[error("the BIOS image has {0} bytes: it must be a multiple of 64K up to 16M")]
    BiosSize(u64),
    /// Not an option ROM.
    #[error("the VGA BIOS is no option ROM: it must begin with 55h AAh and have at most 64K")]
    VgaBios,
    /// A diskette does not go into its drive.
    #[error("drive {}: {}", char::from(*_0), _1)]
    Floppy(u8, idem86_devices::floppy::InsertError),
    /// The host does not give the memory.
    #[error("the host does not give the memory: {0}")]
    Host(String),
    /// The engine cannot run on this host.
    #[error("the engine cannot run on this host: {0}")]
    Engine(String),
    /// A drive cannot be attached.
    #[error("{0}: {1}")]
    Drive(&'static str, idem86_devices::ide::AttachError),
}
