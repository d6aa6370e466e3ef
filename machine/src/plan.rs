//! Building machines: from a configuration, or one more from what another was built from.

use crate::board::{Board, FIRMWARE_TRAP};
use crate::clock::{Clock, ClockKind};
use crate::cmos::{self, BootDevice, Setup};
use crate::config::{Config, ConfigError, Firmware, IdeDrive};
use crate::engine::{Engine, EngineKind};
use crate::input::queue::InputQueue;
use crate::keyboard::KeyQueue;
use crate::machine::{Counters, Machine};
use crate::memmap::{MEGABYTE, MemoryMap, PAM_AREA};
use crate::output::Outputs;
use crate::run::Control;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::processor::Processor;
use idem86_devices::backend::Medium;
use idem86_devices::floppy::{DriveType, Format};
use idem86_devices::fw_cfg::Key;
use idem86_devices::ide::{ChannelId, Identity, Slot};
use idem86_devices::rtc::CivilDateTime;
use idem86_devices::time::GuestTime;
use idem86_devices::uart::Pace;
use idem86_firmware::kernel_rom;
use idem86_firmware::loader::Loaded;
use idem86_translator::Ram;
use std::sync::Arc;

/// Where the ROM that starts a kernel lies in the low ROM space: at D0000h, where a BIOS looks for option ROMs.
const KERNEL_ROM: usize = 0x1_0000;

/// The places of IDE drives, in the order of the letters a to d.
pub(crate) const IDE_SLOTS: [(&str, Slot); 4] = [
    ("hda", Slot { channel: ChannelId::Primary, is_device_1: false }),
    ("hdb", Slot { channel: ChannelId::Primary, is_device_1: true }),
    ("hdc", Slot { channel: ChannelId::Secondary, is_device_1: false }),
    ("hdd", Slot { channel: ChannelId::Secondary, is_device_1: true }),
];

/// A kind of IDE drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdeKind {
    /// A hard disk.
    Disk,
    /// A CD-ROM drive.
    Cdrom,
}

/// What a machine is made of, but for its media.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub memory: u64,
    pub cpu: Processor,
    /// Bytes of the BIOS.
    pub bios: u64,
    pub vga_bios: Vec<u8>,
    pub floppies: [Option<DriveType>; 2],
    pub ide: [Option<IdeKind>; 4],
    pub boot: Vec<BootDevice>,
    pub clock: ClockKind,
    pub start: CivilDateTime,
    pub serial_pace: Pace,
    pub reboot: bool,
    pub kernel: Option<Loaded>,
    pub engine: EngineKind,
}

impl Plan {
    /// Whether a machine of this plan can be in the states of one of `other`.
    pub fn has_same_hardware(&self, other: &Plan) -> bool {
        let Plan {
            memory,
            cpu,
            bios,
            vga_bios,
            floppies,
            ide,
            // The next reset would find it in CMOS, whose content is saved.
            boot: _,
            clock,
            // Shown by the real-time clock, whose state is saved.
            start: _,
            serial_pace,
            reboot,
            kernel,
            // All do the same.
            engine: _,
        } = self;
        (*memory, *bios, *clock, *serial_pace, *reboot)
            == (other.memory, other.bios, other.clock, other.serial_pace, other.reboot)
            && (cpu, vga_bios, floppies, ide, kernel)
                == (&other.cpu, &other.vga_bios, &other.floppies, &other.ide, &other.kernel)
    }
}

/// What lies in the drives of a machine.
#[derive(Debug, Default)]
pub(crate) struct Media {
    pub floppies: [Option<Box<dyn Medium>>; 2],
    pub ide: [Option<Box<dyn Medium>>; 4],
}

/// The drive that a PC would have for diskettes of `format`: of those that take it, the most usual.
fn suitable_drive(format: Format) -> DriveType {
    let usual = [DriveType::Hd35, DriveType::Hd525, DriveType::Ed35];
    // A 40-track diskette belongs into a 40-track drive, where it can be written without harm.
    let narrow = format.drive_type() == DriveType::Dd525;
    let fitting = usual.into_iter().find(|drive| !narrow && drive.accepts(format));
    fitting.unwrap_or(format.drive_type())
}

impl Machine {
    /// Builds a machine and switches it on.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let bios = match config.firmware {
            Firmware::Builtin => idem86_firmware::bios::image().to_vec(),
            Firmware::Image(image) => image,
        };
        // A drive for every diskette, and an empty one, since no PC is without.
        let format = |n: usize| config.floppies[n].as_ref().and_then(|m| Format::of_size(m.size()));
        let drive = |n: usize| format(n).map(suitable_drive);
        let floppies = [Some(drive(0).unwrap_or(DriveType::Hd35)), drive(1)];
        let kind = |drive: &Option<IdeDrive>| match drive {
            Some(IdeDrive::Disk(_)) => Some(IdeKind::Disk),
            Some(IdeDrive::Cdrom(_)) => Some(IdeKind::Cdrom),
            None => None,
        };
        let plan = Plan {
            memory: config.memory,
            cpu: config.cpu,
            bios: bios.len() as u64,
            vga_bios: config.vga_bios.unwrap_or_else(|| idem86_firmware::video::rom().to_vec()),
            floppies,
            ide: config.ide.each_ref().map(kind),
            boot: config.boot,
            clock: config.clock,
            start: config.start,
            serial_pace: config.serial_pace,
            reboot: config.reboot,
            kernel: config.kernel,
            engine: config.engine,
        };
        let media = Media {
            floppies: config.floppies,
            ide: config.ide.map(|drive| match drive {
                Some(IdeDrive::Disk(medium)) => Some(medium),
                Some(IdeDrive::Cdrom(medium)) => medium,
                None => None,
            }),
        };
        let slab = plan.memory(&bios).map_err(|e| ConfigError::Host(e.to_string()))?;
        Machine::build(Arc::new(plan), slab, media)
    }

    /// The machine that `plan` describes, with `slab` as its memory and `media` in its drives; just switched on.
    pub(crate) fn build(plan: Arc<Plan>, slab: Ram, media: Media) -> Result<Self, ConfigError> {
        let mut engine = Engine::new(plan.engine).map_err(|e| ConfigError::Engine(e.to_string()))?;
        let map = MemoryMap::new(plan.memory, plan.bios);
        let disks = std::array::from_fn(|n| match (plan.ide[n], &media.ide[n]) {
            (Some(IdeKind::Disk), Some(medium)) => Some(medium.size() / 512),
            _ => None,
        });
        let setup = Setup { memory: plan.memory, disks, boot: plan.boot.clone(), floppies: plan.floppies };
        let mut board = Board::new(map, Clock::new(plan.clock), plan.start, plan.serial_pace, plan.floppies);
        for (number, medium) in (0..).zip(media.floppies) {
            if let Some(medium) = medium {
                board.floppy.insert(number, medium).map_err(|e| ConfigError::Floppy(b'A' + number, e))?;
            }
        }
        for (((name, slot), kind), medium) in IDE_SLOTS.into_iter().zip(plan.ide).zip(media.ide) {
            let identity = |model: &str| Identity {
                serial: format!("IDEM86-{}", name.to_uppercase()),
                firmware: env!("CARGO_PKG_VERSION").into(),
                model: model.into(),
            };
            let attached = match (kind, medium) {
                (Some(IdeKind::Disk), Some(medium)) => {
                    board.ide.attach_disk(slot, medium, identity("idem86 disk"), None)
                }
                (Some(IdeKind::Cdrom), medium) => {
                    board.ide.attach_cdrom(slot, medium, identity("idem86 CD-ROM"))
                }
                _ => Ok(()),
            };
            attached.map_err(|e| ConfigError::Drive(name, e))?;
        }
        cmos::write(&mut board.rtc, &setup);
        plan.tell_firmware(&mut board);
        let cpu = Cpu::with(plan.cpu);
        board.lapic.set_apic_base(cpu.msr.apic_base);
        board.advance(GuestTime::ZERO);
        engine.attach(&slab);
        Ok(Machine {
            cpu,
            board,
            keyboard: KeyQueue::default(),
            inputs: InputQueue::default(),
            recorder: None,
            slab,
            engine,
            outputs: Outputs::default(),
            control: Control::default(),
            plan,
            counters: Counters::default(),
            origin: None,
        })
    }
}

impl Plan {
    /// RAM, all zero, and the ROMs.
    pub fn memory(&self, bios: &[u8]) -> std::io::Result<Ram> {
        let map = MemoryMap::new(self.memory, self.bios);
        let mut slab = Ram::new(map.slab() as usize)?;
        let bios_at = map.bios_rom() as usize;
        slab[bios_at..].copy_from_slice(bios);
        // The low ROM space ends with the last 128 KiB of the BIOS.
        let low = map.low_rom() as usize;
        slab[low..bios_at].fill(0xFF);
        let tail = bios.len().min(0x2_0000);
        slab[bios_at - tail..bios_at].copy_from_slice(&bios[bios.len() - tail..]);
        debug_assert_eq!(bios_at - low, (MEGABYTE - PAM_AREA) as usize);
        slab[low..low + self.vga_bios.len()].copy_from_slice(&self.vga_bios);
        if self.kernel.is_some() {
            let rom = kernel_rom::image(FIRMWARE_TRAP);
            slab[low + KERNEL_ROM..][..rom.len()].copy_from_slice(&rom);
        }
        Ok(slab)
    }

    /// Fills the device that tells the BIOS of the machine.
    fn tell_firmware(&self, board: &mut Board) {
        let fw_cfg = &mut board.fw_cfg;
        fw_cfg.set(Key::RAM_SIZE, self.memory.to_le_bytes());
        fw_cfg.set(Key::PROCESSORS, 1u16.to_le_bytes());
        fw_cfg.set(Key::MAXIMUM_PROCESSORS, 1u16.to_le_bytes());
        fw_cfg.set(Key::IRQ0_OVERRIDE, [1]);
        let fits = "few files in a new directory";
        if self.kernel.is_some() {
            // SeaBIOS takes option ROMs and the order of boot devices from here.
            fw_cfg.set_file("genroms/idem86-kernel.rom", kernel_rom::image(FIRMWARE_TRAP)).expect(fits);
            fw_cfg.set_file("bootorder", "/rom@genroms/idem86-kernel.rom\0").expect(fits);
        }
        // SeaBIOS clears the ROM area and loads the ROM of a PCI device from here.
        fw_cfg.set_file("pci1234,1111.rom", self.vga_bios.clone()).expect(fits);
    }
}
