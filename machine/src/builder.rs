//! Putting a machine together: the way in for programs that embed one.

use crate::clock::ClockKind;
use crate::cmos::BootDevice;
use crate::config::{Config, ConfigError, Firmware, IdeDrive};
use crate::engine::EngineKind;
use crate::image::ImageError;
use crate::image::detect::ImageKind;
use crate::image::source::{Blob, Disk};
use crate::machine::Machine;
use crate::output::{Closure, Port};
use idem86_cpu::processor::Processor;
use idem86_devices::rtc::CivilDateTime;
use idem86_devices::uart::Pace;
use idem86_firmware::loader::{LoadError, Loaded, linux, multiboot};
use std::io::Write;
use std::path::PathBuf;

/// RAM of a machine if nothing else is said.
const DEFAULT_MEMORY: u64 = 64 << 20;

/// Why a machine cannot be built. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The parts do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An image or a file cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A kernel cannot be started.
    #[error("{}: {error}", path.display())]
    Kernel {
        /// The kernel's file.
        path: PathBuf,
        /// What is wrong with it.
        error: LoadError,
    },
    /// More drives than the board has places for.
    #[error("{}: all four IDE places are taken", path.display())]
    IdeFull {
        /// The image that is left over.
        path: PathBuf,
    },
    /// More diskettes than drives.
    #[error("{}: both floppy drives are taken", path.display())]
    FloppiesFull {
        /// The image that is left over.
        path: PathBuf,
    },
    /// More than one kernel.
    #[error("{}: there is already another kernel", path.display())]
    TwoKernels {
        /// The kernel that is left over.
        path: PathBuf,
    },
    /// There is nothing to give them to.
    #[error("an initial RAM disk and a command line go with a kernel")]
    NoKernel,
    /// A drive letter or port that no PC has.
    #[error("there is no {0}")]
    NoSuchPlace(String),
    /// A drive has an image already.
    #[error("{0} has an image already")]
    Taken(String),
}

/// A drive with what is in it.
#[derive(Debug)]
enum Drive {
    Disk(Disk),
    Cdrom(Option<Disk>),
}

/// Builds a [`Machine`]; see [`Machine::builder`].
///
/// Nothing is opened or checked before [`Builder::build`]. Unless said otherwise: a processor with every feature, 64
/// MiB of RAM, our own BIOS, empty drives, the virtual clock, the fastest engine of this host, and a real-time clock
/// that shows the first second of the year 2000.
pub struct Builder {
    memory: u64,
    cpu: Processor,
    firmware: Option<Blob>,
    vga_bios: Option<Blob>,
    floppies: [Option<Disk>; 2],
    ide: [Option<Drive>; 4],
    kernel: Option<Blob>,
    initrd: Option<Blob>,
    append: String,
    boot: Option<Vec<BootDevice>>,
    clock: ClockKind,
    start: Option<CivilDateTime>,
    pace: Pace,
    reboot: bool,
    engine: Option<EngineKind>,
    debug_exit: Option<u16>,
    noise: Option<u64>,
    sinks: Vec<(Port, Box<dyn Write + Send>)>,
    /// The first thing that went wrong; told when the machine is built.
    wrong: Option<BuildError>,
}

impl Machine {
    /// Begins a machine.
    ///
    /// ```
    /// use idem86_machine::machine::Machine;
    /// use idem86_machine::run::{Ended, Until};
    ///
    /// // A boot sector: mov dx, 3FBh; mov al, 3; out dx, al; mov dx, 3F8h; mov al, 'A'; out dx, al; cli; hlt
    /// let mut floppy = vec![0; 1_474_560];
    /// floppy[..14].copy_from_slice(b"\xBA\xFB\x03\xB0\x03\xEE\xBA\xF8\x03\xB0A\xEE\xFA\xF4");
    /// floppy[510..512].copy_from_slice(&[0x55, 0xAA]);
    ///
    /// let mut machine = Machine::builder().memory(16 << 20).floppy(floppy).build()?;
    /// assert_eq!(machine.run_until(Until::power_off())?, Ended::Stuck);
    /// assert_eq!(machine.serial_output(0), b"A");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> Builder {
        Builder {
            memory: DEFAULT_MEMORY,
            cpu: Processor::default(),
            firmware: None,
            vga_bios: None,
            floppies: [const { None }; 2],
            ide: [const { None }; 4],
            kernel: None,
            initrd: None,
            append: String::new(),
            boot: None,
            clock: ClockKind::Virtual,
            start: None,
            pace: Pace::Immediate,
            reboot: true,
            engine: None,
            debug_exit: None,
            noise: None,
            sinks: Vec::new(),
            wrong: None,
        }
    }
}

impl Builder {
    /// RAM in bytes: a multiple of 4096 from 1 MiB to 3 GiB.
    pub fn memory(self, bytes: u64) -> Self {
        Builder { memory: bytes, ..self }
    }

    /// The processor: a model, perhaps with features less or more. What it does not have is undefined, reserved or
    /// absent for the guest, as CPUID says, on every engine. It stays the same for the life of the machine and of what
    /// is saved of it. Unless said otherwise it has every feature.
    ///
    /// ```
    /// use idem86_cpu::processor::{Feature, Model, Processor};
    /// use idem86_machine::machine::Machine;
    ///
    /// let machine = Machine::builder().cpu(Processor::from(Model::Pentium2).without(Feature::Sep)).build()?;
    /// assert!(machine.cpu.processor().has(Feature::Mmx) && !machine.cpu.processor().has(Feature::Sse));
    /// assert_eq!(machine.cpu.processor(), "pentium2,-sep".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cpu(self, processor: impl Into<Processor>) -> Self {
        Builder { cpu: processor.into(), ..self }
    }

    /// A BIOS image instead of our own: 64 KiB to 16 MiB, ending at the reset vector.
    pub fn firmware(self, image: impl Into<Blob>) -> Self {
        Builder { firmware: Some(image.into()), ..self }
    }

    /// The ROM of the display adapter instead of our own.
    pub fn vga_bios(self, rom: impl Into<Blob>) -> Self {
        Builder { vga_bios: Some(rom.into()), ..self }
    }

    /// A Linux (bzImage) or multiboot kernel to start instead of booting from a drive.
    pub fn kernel(mut self, image: impl Into<Blob>) -> Self {
        let image = image.into();
        match self.kernel {
            Some(_) => self.refuse(BuildError::TwoKernels { path: image.name() }),
            None => self.kernel = Some(image),
        }
        self
    }

    /// The kernel's initial RAM disk; for a multiboot kernel its module.
    pub fn initrd(self, image: impl Into<Blob>) -> Self {
        Builder { initrd: Some(image.into()), ..self }
    }

    /// The kernel's command line.
    pub fn append(self, command_line: impl Into<String>) -> Self {
        Builder { append: command_line.into(), ..self }
    }

    /// A diskette in the first drive that is free.
    pub fn floppy(mut self, image: impl Into<Disk>) -> Self {
        let image = image.into();
        match self.floppies.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(image),
            None => self.refuse(BuildError::FloppiesFull { path: image.name() }),
        }
        self
    }

    /// A diskette in drive `'A'` or `'B'`.
    pub fn floppy_in(mut self, drive: char, image: impl Into<Disk>) -> Self {
        let place = match drive.to_ascii_uppercase() {
            'A' => &mut self.floppies[0],
            'B' => &mut self.floppies[1],
            _ => return self.refusing(BuildError::NoSuchPlace(format!("floppy drive {drive}"))),
        };
        if place.replace(image.into()).is_some() {
            self.refuse(BuildError::Taken(format!("floppy drive {drive}")));
        }
        self
    }

    /// A hard disk in the first place that is free, beginning with the primary master.
    pub fn disk(mut self, image: impl Into<Disk>) -> Self {
        let image = image.into();
        match self.ide.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(Drive::Disk(image)),
            None => self.refuse(BuildError::IdeFull { path: image.name() }),
        }
        self
    }

    /// A hard disk at place `'a'` (primary master) to `'d'` (secondary slave).
    pub fn disk_at(mut self, place: char, image: impl Into<Disk>) -> Self {
        let drive = Drive::Disk(image.into());
        self.put(place, drive);
        self
    }

    /// A CD-ROM drive with a disc in it, in the first place that is free, beginning with the secondary master.
    pub fn cdrom(mut self, image: impl Into<Disk>) -> Self {
        let image = image.into();
        match [2, 3, 1, 0].into_iter().find(|n| self.ide[*n].is_none()) {
            Some(n) => self.ide[n] = Some(Drive::Cdrom(Some(image))),
            None => self.refuse(BuildError::IdeFull { path: image.name() }),
        }
        self
    }

    /// A CD-ROM drive without a disc at place `'a'` to `'d'`.
    pub fn empty_cdrom_at(mut self, place: char) -> Self {
        self.put(place, Drive::Cdrom(None));
        self
    }

    /// An image that is recognised by its content: a floppy, a hard disk, a CD-ROM or a kernel.
    pub fn image(self, image: impl Into<Disk>) -> Self {
        let mut image = image.into();
        let kind = match image.kind() {
            Ok(kind) => kind,
            Err(error) => return self.refusing(error.into()),
        };
        match (kind, image.path()) {
            (ImageKind::Floppy, _) => self.floppy(image),
            (ImageKind::Disk, _) => self.disk(image),
            (ImageKind::Cdrom, _) => self.cdrom(image),
            (ImageKind::Linux | ImageKind::Multiboot, Some(path)) => {
                let path = path.to_owned();
                self.kernel(path)
            }
            (ImageKind::Linux | ImageKind::Multiboot, None) => {
                self.refusing(ImageError::Unknown { path: image.name() }.into())
            }
        }
    }

    /// What to boot from: up to three devices in the order in which they are tried.
    pub fn boot_order(self, order: impl Into<Vec<BootDevice>>) -> Self {
        Builder { boot: Some(order.into()), ..self }
    }

    /// Where guest time comes from.
    pub fn clock(self, clock: ClockKind) -> Self {
        Builder { clock, ..self }
    }

    /// What the real-time clock shows at power-on.
    pub fn start_time(self, start: CivilDateTime) -> Self {
        Builder { start: Some(start), ..self }
    }

    /// Whether serial characters take their time.
    pub fn serial_pace(self, pace: Pace) -> Self {
        Builder { pace, ..self }
    }

    /// Whether a reset restarts the machine, as it does unless said otherwise; else it ends the run.
    pub fn reboot(self, reboot: bool) -> Self {
        Builder { reboot, ..self }
    }

    /// What executes guest code.
    pub fn engine(self, engine: EngineKind) -> Self {
        Builder { engine: Some(engine), ..self }
    }

    /// A port whose writes end the run with [`crate::run::Ended::Exit`].
    pub fn debug_exit(self, port: u16) -> Self {
        Builder { debug_exit: Some(port), ..self }
    }

    /// RAM holds noise at power-on, as that of a real PC does, and not zeros: the same for the same `seed` and size of
    /// memory. It makes guests that rely on memory they never wrote fail. Filling memory takes time, and host memory.
    pub fn power_on_noise(self, seed: u64) -> Self {
        Builder { noise: Some(seed), ..self }
    }

    /// Sends what serial port `port` (0 is COM1) prints to `sink`, at the latest when a run returns.
    pub fn serial(self, port: u8, sink: impl Write + Send + 'static) -> Self {
        if port > 3 {
            return self.refusing(BuildError::NoSuchPlace(format!("serial port {port}, only 0 to 3")));
        }
        self.sink(Port::Serial(port), sink)
    }

    /// As [`Builder::serial`], to a closure.
    pub fn serial_with(self, port: u8, sink: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.serial(port, Closure(sink))
    }

    /// Sends what comes from the debug console, ports E9h and 402h, to `sink`.
    pub fn debug_console(self, sink: impl Write + Send + 'static) -> Self {
        self.sink(Port::DebugConsole, sink)
    }

    /// As [`Builder::debug_console`], to a closure.
    pub fn debug_console_with(self, sink: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.debug_console(Closure(sink))
    }

    fn sink(mut self, port: Port, sink: impl Write + Send + 'static) -> Self {
        self.sinks.push((port, Box::new(sink)));
        self
    }

    fn put(&mut self, place: char, drive: Drive) {
        let found = match place.to_ascii_lowercase() {
            letter @ 'a'..='d' => &mut self.ide[letter as usize - 'a' as usize],
            _ => return self.refuse(BuildError::NoSuchPlace(format!("disk place {place}"))),
        };
        if found.replace(drive).is_some() {
            self.refuse(BuildError::Taken(format!("disk place {place}")));
        }
    }

    fn refuse(&mut self, error: BuildError) {
        self.wrong.get_or_insert(error);
    }

    fn refusing(mut self, error: BuildError) -> Self {
        self.refuse(error);
        self
    }

    /// Builds the machine and switches it on. No guest code has run yet.
    pub fn build(self) -> Result<Machine, BuildError> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let firmware = match self.firmware {
            Some(image) => Firmware::Image(image.read()?),
            None => Firmware::Builtin,
        };
        let mut config = Config::new(self.memory, firmware);
        config.vga_bios = self.vga_bios.map(Blob::read).transpose()?;
        for (place, disk) in config.floppies.iter_mut().zip(self.floppies) {
            *place = disk.map(|disk| disk.open(ImageKind::Floppy)).transpose()?;
        }
        for (place, drive) in config.ide.iter_mut().zip(self.ide) {
            *place = match drive {
                None => None,
                Some(Drive::Disk(disk)) => Some(IdeDrive::Disk(disk.open(ImageKind::Disk)?)),
                Some(Drive::Cdrom(disc)) => {
                    Some(IdeDrive::Cdrom(disc.map(|disc| disc.open(ImageKind::Cdrom)).transpose()?))
                }
            };
        }
        config.kernel = match self.kernel {
            Some(image) => Some(load(image, self.initrd, &self.append, self.memory)?),
            None if self.initrd.is_some() || !self.append.is_empty() => return Err(BuildError::NoKernel),
            None => None,
        };
        config.boot = self.boot.unwrap_or(config.boot);
        config.start = self.start.unwrap_or(config.start);
        config.cpu = self.cpu;
        config.clock = self.clock;
        config.serial_pace = self.pace;
        config.reboot = self.reboot;
        config.engine = self.engine.unwrap_or_else(EngineKind::fastest);
        let mut machine = Machine::new(config)?;
        if let Some(port) = self.debug_exit {
            machine.board.enable_debug_exit(port);
        }
        if let Some(seed) = self.noise {
            machine.fill_ram_with_noise(seed);
        }
        for (port, sink) in self.sinks {
            machine.outputs.of(port).set_sink(sink);
        }
        Ok(machine)
    }
}

/// Makes a kernel ready to be started.
fn load(kernel: Blob, initrd: Option<Blob>, append: &str, memory: u64) -> Result<Loaded, BuildError> {
    let path = kernel.name();
    let kernel = kernel.read()?;
    let ramdisk = initrd.map(Blob::read).transpose()?;
    let ramdisk = ramdisk.as_deref();
    let loaded = match linux::load(&kernel, ramdisk, append, memory) {
        Err(LoadError::NotOne(_)) => match multiboot::load(&kernel, ramdisk, append, memory) {
            Err(LoadError::NotOne(_)) => Err(LoadError::NotOne("Linux kernel (bzImage) or multiboot kernel")),
            other => other,
        },
        other => other,
    };
    loaded.map_err(|error| BuildError::Kernel { path, error })
}

impl Machine {
    /// Fills RAM as power-on leaves it; before anything has run.
    fn fill_ram_with_noise(&mut self, seed: u64) {
        let ram = self.board.memory.ram() as usize;
        // SplitMix64: every seed is as good as any other. Steele et al., "Fast Splittable Pseudorandom Number
        // Generators".
        let mut state = seed;
        for chunk in self.slab[..ram].as_chunks_mut::<8>().0 {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            *chunk = (mixed ^ mixed >> 31).to_le_bytes();
        }
        self.cpu.ram_written(0, ram as u64);
    }
}
