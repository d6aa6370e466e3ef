//! The tray: the medium in it, whether it is open or locked, and what of all that the host has yet to hear.

use super::sense::Sense;
use crate::backend::{Medium, MediumError};
use serde::{Deserialize, Serialize};

/// Bytes in a sector of a data track (mode 1).
pub(in crate::ide) const CD_SECTOR: usize = 2048;

/// An event of the media class (MMC-3, "GET EVENT STATUS NOTIFICATION").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MediaEvent {
    EjectRequest = 1,
    NewMedia = 2,
    MediaRemoval = 3,
}

/// Everything about the tray but the medium itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ide) struct TrayState {
    pub open: bool,
    /// PREVENT ALLOW MEDIUM REMOVAL has locked it.
    pub locked: bool,
    /// The medium was changed: a unit attention is due.
    pub changed: bool,
    /// The event that the next poll finds.
    event: Option<MediaEvent>,
}

#[derive(Debug)]
pub(in crate::ide) struct Tray {
    pub medium: Option<Box<dyn Medium>>,
    pub state: TrayState,
}

impl Tray {
    pub fn new(medium: Option<Box<dyn Medium>>) -> Self {
        Tray { medium, state: TrayState::default() }
    }

    /// Size in sectors of the medium in the tray, whether open or not.
    pub fn capacity(&self) -> Option<u32> {
        let bytes = self.medium.as_ref()?.size();
        Some(u32::try_from(bytes / CD_SECTOR as u64).unwrap_or(u32::MAX))
    }

    /// The number of sectors that can be read, or why there are none.
    pub fn sectors(&self) -> Result<u32, Sense> {
        match self.capacity() {
            _ if self.state.open => Err(Sense::TRAY_OPEN),
            Some(sectors) => Ok(sectors),
            None => Err(Sense::NO_MEDIUM),
        }
    }

    /// Whether there is a medium in the closed tray.
    pub fn is_loaded(&self) -> bool {
        self.sectors().is_ok()
    }

    /// Reads whole sectors from `sector` on.
    pub fn read(&mut self, sector: u32, buffer: &mut [u8]) -> Result<(), MediumError> {
        let medium = self.medium.as_mut().ok_or(MediumError::OutOfRange)?;
        medium.read(u64::from(sector) * CD_SECTOR as u64, buffer)
    }

    /// Puts a medium in and closes the tray.
    pub fn insert(&mut self, medium: Box<dyn Medium>) {
        self.medium = Some(medium);
        self.close();
    }

    /// Takes the medium out, leaving the tray closed.
    pub fn remove(&mut self) -> Option<Box<dyn Medium>> {
        let medium = self.medium.take();
        self.state.open = false;
        if medium.is_some() {
            self.state.event = Some(MediaEvent::MediaRemoval);
        }
        medium
    }

    /// Opens the tray; the medium stays in it.
    pub fn open(&mut self) {
        if self.is_loaded() {
            self.state.event = Some(MediaEvent::MediaRemoval);
        }
        self.state.open = true;
    }

    /// Closes the tray; a medium in it is one that the host has to look at.
    pub fn close(&mut self) {
        self.state.open = false;
        if self.medium.is_some() {
            self.state.event = Some(MediaEvent::NewMedia);
            self.state.changed = true;
        }
    }

    /// Someone pressed the eject button of the locked drive.
    pub fn request_eject(&mut self) {
        self.state.event = Some(MediaEvent::EjectRequest);
    }

    /// The event since the last poll, as its code; 0 for none.
    pub fn take_event(&mut self) -> u8 {
        self.state.event.take().map_or(0, |event| event as u8)
    }
}
