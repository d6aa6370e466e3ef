//! The configuration of a saved machine: `machine.toml`.

use super::format::FormatError;
use super::media::PLACES;
use crate::clock::ClockKind;
use crate::cmos::BootDevice;
use crate::config::Config;
use crate::engine::EngineKind;
use crate::memmap::BIOS_MAX;
use crate::plan::{IdeKind, Plan};
use idem86_devices::floppy::DriveType;
use idem86_devices::uart::Pace;
use idem86_firmware::loader::Loaded;
use serde::{Deserialize, Serialize};

/// `machine.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// RAM in bytes.
    memory: u64,
    /// As `--cpu` takes it.
    cpu: String,
    /// Bytes of the BIOS.
    bios: u64,
    clock: ClockName,
    engine: String,
    serial: PaceName,
    /// A reset restarts the machine.
    reboot: bool,
    boot: Vec<BootName>,
    /// Writes to this port end a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    debug_exit: Option<u16>,
    #[serde(default)]
    pub drive: Vec<Drive>,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drive {
    /// `fda`, `fdb`, `hda` to `hdd`.
    pub place: String,
    pub kind: DriveKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClockName {
    Host,
    Virtual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PaceName {
    Baud,
    Immediate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BootName {
    Floppy,
    Disk,
    Cdrom,
}

/// What drive is in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DriveKind {
    #[serde(rename = "disk")]
    Disk,
    #[serde(rename = "cdrom")]
    Cdrom,
    #[serde(rename = "5.25 DD")]
    Dd525,
    #[serde(rename = "5.25 HD")]
    Hd525,
    #[serde(rename = "3.5 DD")]
    Dd35,
    #[serde(rename = "3.5 HD")]
    Hd35,
    #[serde(rename = "3.5 ED")]
    Ed35,
}

/// Floppy drives by their kinds.
const FLOPPIES: [(DriveKind, DriveType); 5] = [
    (DriveKind::Dd525, DriveType::Dd525),
    (DriveKind::Hd525, DriveType::Hd525),
    (DriveKind::Dd35, DriveType::Dd35),
    (DriveKind::Hd35, DriveType::Hd35),
    (DriveKind::Ed35, DriveType::Ed35),
];

impl Description {
    /// That of a machine.
    pub fn of(plan: &Plan, debug_exit: Option<u16>) -> Self {
        let Plan {
            memory,
            cpu,
            bios,
            vga_bios: _,
            floppies,
            ide,
            boot,
            clock,
            // Shown by the real-time clock, whose state is saved.
            start: _,
            serial_pace,
            reboot,
            kernel: _,
            engine,
        } = plan;
        let floppy =
            |drive: DriveType| FLOPPIES.iter().find(|(_, kind)| *kind == drive).map(|(kind, _)| *kind);
        let ide_kind = |kind: IdeKind| match kind {
            IdeKind::Disk => DriveKind::Disk,
            IdeKind::Cdrom => DriveKind::Cdrom,
        };
        let kinds = floppies
            .iter()
            .map(|drive| drive.and_then(floppy))
            .chain(ide.iter().map(|kind| kind.map(ide_kind)));
        let drive = PLACES
            .iter()
            .zip(kinds)
            .filter_map(|((place, _), kind)| Some(Drive { place: (*place).into(), kind: kind? }));
        Description {
            memory: *memory,
            cpu: cpu.to_string(),
            bios: *bios,
            clock: match clock {
                ClockKind::Host => ClockName::Host,
                ClockKind::Virtual => ClockName::Virtual,
            },
            engine: engine.name().into(),
            serial: match serial_pace {
                Pace::Baud => PaceName::Baud,
                Pace::Immediate => PaceName::Immediate,
            },
            reboot: *reboot,
            boot: boot
                .iter()
                .map(|device| match device {
                    BootDevice::Floppy => BootName::Floppy,
                    BootDevice::Disk => BootName::Disk,
                    BootDevice::Cdrom => BootName::Cdrom,
                })
                .collect(),
            debug_exit,
            drive: drive.collect(),
        }
    }

    /// As text.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain data is always serialised")
    }

    /// From text.
    pub fn from_toml(text: &[u8]) -> Result<Self, FormatError> {
        let damaged = FormatError::Damaged("the machine's configuration");
        let Ok(text) = std::str::from_utf8(text) else { return Err(damaged) };
        toml::from_str(text).map_err(|_| damaged)
    }

    /// The port that ends a run.
    pub fn debug_exit(&self) -> Option<u16> {
        self.debug_exit
    }

    /// What the machine is built from.
    pub fn plan(&self, vga_bios: Vec<u8>, kernel: Option<Loaded>) -> Result<Plan, FormatError> {
        let usual = Config::new(self.memory, crate::config::Firmware::Builtin);
        let sizes = usual.check().is_ok()
            && (0x1_0000..=BIOS_MAX).contains(&self.bios)
            && self.bios.is_multiple_of(0x1_0000)
            && (2..=0x1_0000).contains(&vga_bios.len());
        if !sizes || self.boot.len() > 3 {
            return Err(FormatError::Damaged("a size that no machine has"));
        }
        let mut plan = Plan {
            memory: self.memory,
            cpu: self.cpu.parse().map_err(|_| FormatError::Damaged("an unknown processor"))?,
            bios: self.bios,
            vga_bios,
            floppies: [None; 2],
            ide: [None; 4],
            boot: self
                .boot
                .iter()
                .map(|name| match name {
                    BootName::Floppy => BootDevice::Floppy,
                    BootName::Disk => BootDevice::Disk,
                    BootName::Cdrom => BootDevice::Cdrom,
                })
                .collect(),
            clock: match self.clock {
                ClockName::Host => ClockKind::Host,
                ClockName::Virtual => ClockKind::Virtual,
            },
            start: usual.start,
            serial_pace: match self.serial {
                PaceName::Baud => Pace::Baud,
                PaceName::Immediate => Pace::Immediate,
            },
            reboot: self.reboot,
            kernel,
            engine: EngineKind::named(&self.engine).ok_or(FormatError::Damaged("an unknown engine"))?,
        };
        for drive in &self.drive {
            let place = PLACES.iter().position(|(name, _)| *name == drive.place);
            let floppy = FLOPPIES.iter().find(|(kind, _)| *kind == drive.kind).map(|(_, drive)| *drive);
            match (place, drive.kind) {
                (Some(n @ 0..2), _) if floppy.is_some() => plan.floppies[n] = floppy,
                (Some(n @ 2..), DriveKind::Disk) => plan.ide[n - 2] = Some(IdeKind::Disk),
                (Some(n @ 2..), DriveKind::Cdrom) => plan.ide[n - 2] = Some(IdeKind::Cdrom),
                _ => return Err(FormatError::Damaged("a drive in a place that it does not fit")),
            }
        }
        Ok(plan)
    }
}
