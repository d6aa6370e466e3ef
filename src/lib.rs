//! idem86: a full-system x86 PC in an ordinary process.
//!
//! [`Machine::builder`] makes a PC, [`Machine::run_until`] runs it until something happens, and everything about it can
//! be looked at and changed in between:
//!
//! ```
//! use idem86::{Ended, Machine, Register, Until};
//! use idem86::testing::demo_disk;
//!
//! let mut machine = Machine::builder().memory(32 << 20).floppy(demo_disk()).build()?;
//! let ended = machine.run_until(Until::screen("protected mode").or(Until::millis(5_000)))?;
//! assert!(matches!(ended, Ended::Screen { .. }), "{ended:?}");
//! assert_eq!(machine.register(Register::Cr0) & 1, 1);
//! assert_eq!(machine.run_until(Until::power_off())?, Ended::PoweredOff);
//! println!("{}", machine.screen_text().unwrap_or_default());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | there are |
//! |---|---|
//! | choose it | [`Builder`]: memory, firmware, drives, [`Processor`] with its [`Feature`]s, [`EngineKind`], [`ClockKind`] |
//! | use it | [`Machine::type_text`], [`Machine::press`], [`Machine::input`], [`Machine::send_serial`], [`Machine::insert`] |
//! | see it | [`Machine::screen_text`], [`Machine::screenshot`], [`Machine::serial_output`], [`Machine::counters`] |
//! | look inside | [`Machine::register`], [`Machine::read_physical`], [`Machine::read_linear`], [`Machine::step`] |
//! | stop it | [`Until`], and from another thread [`Machine::control`] |
//! | follow it | [`machine::hooks`] on ports, memory, code, exceptions and interrupts |
//! | extend it | [`Machine::attach`] with a [`Device`] |
//! | go back | [`Machine::snapshot`], [`Machine::restore`], [`Machine::fork`] |
//! | repeat it | [`Machine::record`], [`Machine::replay`] |
//! | test with it | [`testing`] |
//!
//! # Time and exactness
//!
//! A machine lives in guest time. Under the virtual clock, which a builder begins with, that is the work that it has
//! done: the same machine with the same inputs does the same on every host and engine, whatever else the host does, and
//! [`Machine::state_hash`] shows it. Under the host clock a second in the guest is a second outside.
//!
//! # Threads and failures
//!
//! A machine is `Send`, and there is no global state: any number of them run side by side. A guest can stop its own
//! machine, nothing else; what it does is never an `Err` nor a panic.
//!
//! The crates that make up the program are here too: [`machine`] is the PC with all of its interface, [`cpu`] a
//! processor alone, [`devices`] the parts of a PC, each usable by itself.

#![forbid(unsafe_code)]

pub mod classify;
pub mod compare;
mod elf;

pub mod testing;

pub use idem86_cpu as cpu;
pub use idem86_devices as devices;
pub use idem86_firmware as firmware;
pub use idem86_machine as machine;

pub use idem86_cpu::processor::{Feature, Model, Processor};
pub use idem86_devices::time::{GuestDuration, GuestTime};
pub use idem86_machine::attached::{Attachment, Device};
pub use idem86_machine::builder::{BuildError, Builder};
pub use idem86_machine::clock::ClockKind;
pub use idem86_machine::cmos::BootDevice;
pub use idem86_machine::engine::EngineKind;
pub use idem86_machine::hooks::{HookId, MemoryAccess, PhysicalAccess, PortAccess};
pub use idem86_machine::image::source::{Blob, Disk};
pub use idem86_machine::input::recording::{Recording, ReplayError};
pub use idem86_machine::input::{DriveName, Input, InputError};
pub use idem86_machine::machine::{Counters, Machine};
pub use idem86_machine::registers::Register;
pub use idem86_machine::run::{Control, Ended, RunError, Until};
pub use idem86_machine::screenshot::Screenshot;
pub use idem86_machine::snapshot::hash::StateHash;
pub use idem86_machine::snapshot::{Snapshot, SnapshotError};
