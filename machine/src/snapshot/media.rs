//! Media of snapshots: forked when one is taken, and forked again when a machine gets them.

use super::SnapshotError;
use crate::machine::Machine;
use crate::plan::{IDE_SLOTS, Media};
use idem86_devices::backend::{Content, Medium};
use idem86_devices::ide::Slot;

/// A place for a medium.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Floppy(u8),
    Ide(Slot),
}

/// All places with their names.
pub(super) const PLACES: [(&str, Place); 6] = [
    ("fda", Place::Floppy(0)),
    ("fdb", Place::Floppy(1)),
    (IDE_SLOTS[0].0, Place::Ide(IDE_SLOTS[0].1)),
    (IDE_SLOTS[1].0, Place::Ide(IDE_SLOTS[1].1)),
    (IDE_SLOTS[2].0, Place::Ide(IDE_SLOTS[2].1)),
    (IDE_SLOTS[3].0, Place::Ide(IDE_SLOTS[3].1)),
];

impl Media {
    /// Media in the order of [`PLACES`].
    pub(super) fn new(media: [Content; 6]) -> Self {
        let [fda, fdb, hda, hdb, hdc, hdd] = media;
        Media { floppies: [fda, fdb], ide: [hda, hdb, hdc, hdd] }
    }

    /// What [`Media::new`] took.
    pub(super) fn into_places(self) -> [Content; 6] {
        let Media { floppies: [fda, fdb], ide: [hda, hdb, hdc, hdd] } = self;
        [fda, fdb, hda, hdb, hdc, hdd]
    }

    /// The same media once more.
    pub(super) fn fork(&self) -> Result<Media, SnapshotError> {
        let mut forks = [const { None }; 6];
        let media = self.floppies.iter().chain(&self.ide);
        for ((medium, (name, _)), place) in media.zip(PLACES).zip(&mut forks) {
            *place = medium.as_deref().map(|medium| fork(medium, name)).transpose()?;
        }
        Ok(Media::new(forks))
    }
}

fn fork(medium: &dyn Medium, name: &'static str) -> Result<Box<dyn Medium>, SnapshotError> {
    medium.fork().ok_or(SnapshotError::Medium(name))
}

impl Machine {
    /// The medium at `place`.
    pub(super) fn medium(&mut self, place: Place) -> Option<&mut Box<dyn Medium>> {
        match place {
            Place::Floppy(number) => self.board.floppy.medium(number),
            Place::Ide(slot) => self.board.ide.medium(slot),
        }
    }

    fn replace_medium(&mut self, place: Place, medium: Content) -> Result<Content, Content> {
        match place {
            Place::Floppy(number) => self.board.floppy.replace_medium(number, medium),
            Place::Ide(slot) => self.board.ide.replace_medium(slot, medium),
        }
    }

    /// The media once more that are in the drives.
    pub(super) fn fork_media(&mut self) -> Result<Media, SnapshotError> {
        let mut forks = [const { None }; 6];
        for ((name, place), to) in PLACES.into_iter().zip(&mut forks) {
            *to = self.medium(place).map(|medium| fork(medium.as_ref(), name)).transpose()?;
        }
        Ok(Media::new(forks))
    }

    /// Puts `media` into the drives, unseen by the guest, and gives what was there. All of them, or none.
    pub(super) fn exchange_media(&mut self, media: Media) -> Result<Media, SnapshotError> {
        let mut before = [const { None }; 6];
        for (n, medium) in media.into_places().into_iter().enumerate() {
            let (name, place) = PLACES[n];
            match self.replace_medium(place, medium) {
                Ok(old) => before[n] = old,
                Err(_) => {
                    for (old, (_, place)) in before.into_iter().zip(PLACES).take(n) {
                        let back = self.replace_medium(place, old);
                        debug_assert!(back.is_ok(), "it was in this drive");
                    }
                    return Err(SnapshotError::Drive(name));
                }
            }
        }
        Ok(Media::new(before))
    }
}
