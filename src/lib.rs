//! idem86: a full-system x86 PC in an ordinary process.
//!
//! [`Machine::builder`] makes a PC; [`Machine::run_until`] runs it until something happens.
//!
//! ```
//! use idem86::{Ended, Machine, Until};
//!
//! // A boot sector: mov dx, 3FBh; mov al, 3; out dx, al; mov dx, 3F8h; mov al, 'A'; out dx, al; cli; hlt
//! let mut floppy = vec![0; 1_474_560];
//! floppy[..14].copy_from_slice(b"\xBA\xFB\x03\xB0\x03\xEE\xBA\xF8\x03\xB0A\xEE\xFA\xF4");
//! floppy[510..512].copy_from_slice(&[0x55, 0xAA]);
//!
//! let mut machine = Machine::builder().memory(16 << 20).floppy(floppy).build()?;
//! let ended = machine.run_until(Until::serial("A"))?;
//! assert!(matches!(ended, Ended::Serial { port: 0, .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crates that make up the program are here too: [`machine`] is the PC with all of its interface, [`cpu`] a
//! processor alone, [`devices`] the parts of a PC, each usable by itself.

#![forbid(unsafe_code)]

pub mod classify;
pub mod compare;
mod elf;

pub use idem86_cpu as cpu;
pub use idem86_devices as devices;
pub use idem86_firmware as firmware;
pub use idem86_machine as machine;

pub use idem86_devices::time::{GuestDuration, GuestTime};
pub use idem86_machine::attached::{Attachment, Device};
pub use idem86_machine::builder::{BuildError, Builder};
pub use idem86_machine::clock::ClockKind;
pub use idem86_machine::cmos::BootDevice;
pub use idem86_machine::engine::EngineKind;
pub use idem86_machine::hooks::{HookId, PortAccess};
pub use idem86_machine::image::source::{Blob, Disk};
pub use idem86_machine::input::recording::{Recording, ReplayError};
pub use idem86_machine::input::{DriveName, Input, InputError};
pub use idem86_machine::machine::{Counters, Machine};
pub use idem86_machine::run::{Control, Ended, RunError, Until};
pub use idem86_machine::screenshot::Screenshot;
