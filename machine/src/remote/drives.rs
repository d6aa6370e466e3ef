//! Drives by the names that management tools use, and changing what is in them.

use super::monitor::Problem;
use crate::image::ImageOptions;
use crate::image::source::Disk;
use crate::input::DriveName;
use crate::machine::Machine;
use crate::plan::IDE_SLOTS;
use idem86_devices::backend::Medium;
use idem86_devices::ide::DriveStatus;

/// A drive of the machine.
pub(super) struct Drive {
    /// Its name, as `query-block` has it.
    pub(super) name: String,
    /// The guest has locked it.
    pub(super) locked: bool,
    /// Its tray is open, if it has one.
    pub(super) tray_open: Option<bool>,
    /// What is in it.
    pub(super) medium: Option<Inserted>,
    /// Where its medium can be changed.
    place: Option<DriveName>,
}

/// What is in a drive.
pub(super) struct Inserted {
    /// The image's file; empty if it has none.
    pub(super) file: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) read_only: bool,
    /// The name of the format that the file is in.
    pub(super) format: &'static str,
}

impl Inserted {
    fn of(medium: &dyn Medium) -> Self {
        let file = medium.base().map_or(String::new(), |path| path.display().to_string());
        let format = medium.base_format().unwrap_or("raw");
        Inserted { file, size: medium.size(), read_only: medium.is_read_only(), format }
    }
}

impl Drive {
    /// Whether its medium can be changed.
    pub(super) fn is_removable(&self) -> bool {
        self.place.is_some()
    }
}

/// The drives that there are.
pub(super) fn list(machine: &mut Machine) -> Vec<Drive> {
    let mut drives = Vec::new();
    for (n, (_, slot)) in (0..).zip(IDE_SLOTS) {
        let (kind, locked, tray_open) = match machine.board.ide.drive_status(slot) {
            DriveStatus::Absent => continue,
            DriveStatus::Disk => ("hd", false, None),
            DriveStatus::Cdrom { is_open, is_locked, .. } => ("cd", is_locked, Some(is_open)),
        };
        let medium = machine.board.ide.medium(slot).map(|medium| Inserted::of(medium.as_ref()));
        drives.push(Drive {
            name: format!("ide{}-{kind}{}", slot.channel as u8, u8::from(slot.is_device_1)),
            locked,
            tray_open,
            medium,
            place: tray_open.map(|_| DriveName::Cdrom(n)),
        });
    }
    for (number, name) in [(0, DriveName::A), (1, DriveName::B)] {
        if machine.board.floppy.drive_type(number).is_some() {
            let medium = machine.board.floppy.medium(number).map(|medium| Inserted::of(medium.as_ref()));
            drives.push(Drive {
                name: format!("floppy{number}"),
                locked: false,
                tray_open: None,
                medium,
                place: Some(name),
            });
        }
    }
    drives
}

fn find(machine: &mut Machine, name: &str, force: bool) -> Result<DriveName, Problem> {
    let drives = list(machine);
    let Some(drive) = drives.iter().find(|drive| drive.name == name) else {
        let names: Vec<&str> = drives.iter().map(|drive| drive.name.as_str()).collect();
        return Err(Problem(format!("no drive is called {name:?}; there are {}", names.join(", "))));
    };
    match drive.place {
        None => Err(Problem(format!("what is in {name} cannot be changed"))),
        Some(_) if drive.locked && !force => {
            Err(Problem(format!("the guest has locked {name}; it opens by force only")))
        }
        Some(place) => Ok(place),
    }
}

/// Takes out what is in the drive `name`, made durable; nothing is no error.
pub(super) fn eject(machine: &mut Machine, name: &str, force: bool) -> Result<(), Problem> {
    let place = find(machine, name, force)?;
    machine.eject(place).map_err(|e| Problem(e.to_string()))
}

/// Puts an image into the drive `name`, in place of what was there.
pub(super) fn change(
    machine: &mut Machine,
    name: &str,
    image: ImageOptions,
    force: bool,
) -> Result<(), Problem> {
    let place = find(machine, name, force)?;
    let file = image.path.display().to_string();
    machine.insert(place, file, Disk::from(image)).map_err(|e| Problem(e.to_string()))
}
