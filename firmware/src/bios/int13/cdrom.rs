//! CD-ROM drives by packet commands. MMC-3, "Commands for CD Logical Units"; SPC-2, "Sense key".

use super::ata::{self, SenseKey};
use super::drives::{Drive, Slot};
use super::status;
use crate::bios::hardware::MILLISECOND;
use crate::platform::Platform;

/// Bytes of a sector.
pub(super) const SECTOR: usize = 2048;
/// The most sectors in one command.
pub(super) const MOST_SECTORS: usize = 16;

mod command {
    pub const TEST_UNIT_READY: u8 = 0x00;
    pub const START_STOP_UNIT: u8 = 0x1B;
    pub const PREVENT_REMOVAL: u8 = 0x1E;
    pub const READ_CAPACITY: u8 = 0x25;
    pub const READ_10: u8 = 0x28;
}

/// Sense keys.
const NOT_READY: SenseKey = SenseKey(2);
const UNIT_ATTENTION: SenseKey = SenseKey(6);

fn packet(
    slot: Slot,
    io: &mut dyn Platform,
    packet: &[u8; 12],
    buffer: &mut [u8],
) -> Result<usize, SenseKey> {
    let mut result = ata::packet(io, slot, packet, buffer);
    // A unit attention tells once of a new disc or a reset.
    for _ in 0..2 {
        if result != Err(UNIT_ATTENTION) {
            break;
        }
        result = ata::packet(io, slot, packet, buffer);
    }
    result
}

/// Whether there is a disc, waiting a while for one that is just being read in.
pub(super) fn is_ready(io: &mut dyn Platform, drive: &Drive) -> bool {
    let mut request = [0; 12];
    request[0] = command::TEST_UNIT_READY;
    for _ in 0..5 {
        match packet(drive.slot, io, &request, &mut []) {
            Ok(_) => return true,
            Err(NOT_READY) => io.wait(10 * MILLISECOND),
            Err(_) => return false,
        }
    }
    false
}

/// Reads as many sectors as `buffer` holds.
pub(super) fn read(io: &mut dyn Platform, drive: &Drive, lba: u32, buffer: &mut [u8]) -> Result<(), u8> {
    let mut at = lba;
    for piece in buffer.chunks_mut(SECTOR * MOST_SECTORS) {
        let count = (piece.len() / SECTOR) as u16;
        let mut request = [0; 12];
        request[0] = command::READ_10;
        request[2..6].copy_from_slice(&at.to_be_bytes());
        request[7..9].copy_from_slice(&count.to_be_bytes());
        match packet(drive.slot, io, &request, piece) {
            Ok(length) if length == piece.len() => {}
            Ok(_) => return Err(status::CONTROLLER_FAILED),
            Err(NOT_READY) => return Err(status::NO_MEDIUM),
            Err(_) => return Err(status::SECTOR_NOT_FOUND),
        }
        at = at.checked_add(count.into()).ok_or(status::SECTOR_NOT_FOUND)?;
    }
    Ok(())
}

/// Sectors on the disc.
pub(super) fn capacity(io: &mut dyn Platform, drive: &Drive) -> Option<u32> {
    let mut request = [0; 12];
    request[0] = command::READ_CAPACITY;
    let mut answer = [0; 8];
    let length = packet(drive.slot, io, &request, &mut answer).ok()?;
    let last = u32::from_be_bytes(*answer.first_chunk()?);
    (length == answer.len()).then(|| last.wrapping_add(1))
}

/// Locks or unlocks the tray.
pub(super) fn lock(io: &mut dyn Platform, drive: &Drive, locked: bool) -> Result<(), u8> {
    let mut request = [0; 12];
    request[0] = command::PREVENT_REMOVAL;
    request[4] = locked.into();
    packet(drive.slot, io, &request, &mut []).map(|_| ()).map_err(|_| status::NOT_READY)
}

/// Opens the tray.
pub(super) fn eject(io: &mut dyn Platform, drive: &Drive) -> Result<(), u8> {
    let mut request = [0; 12];
    request[0] = command::START_STOP_UNIT;
    request[4] = 0b10;
    packet(drive.slot, io, &request, &mut []).map(|_| ()).map_err(|_| status::EJECT_FAILED)
}
