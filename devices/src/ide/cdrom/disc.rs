//! What the drive tells of a disc: one session of one data track. MMC-3.

use super::Cdrom;
use super::packet::{LEAD_IN, Outcome, Packet, Result};
use super::sense::Sense;

/// ADR and CONTROL of a data track: the Q subchannel holds a position; data, recorded without interruption.
const DATA_TRACK: u8 = 0x14;
const LEAD_OUT: u8 = 0xAA;

/// Discs up to here are CDs, whose time of 99:59:74 at most includes the lead-in; larger ones are DVDs.
const LARGEST_CD: u32 = 100 * 60 * 75 - LEAD_IN;

/// A sector's address as the host wants it: a number, or minute, second and frame.
fn address(sector: u32, as_time: bool) -> [u8; 4] {
    if !as_time {
        return sector.to_be_bytes();
    }
    let [_, m, s, f] = time(sector).map(|n| n as u8);
    [0, m, s, f]
}

/// Minute, second and frame; what is beyond 99:59:74 saturates.
fn time(sector: u32) -> [u32; 4] {
    let frames = sector.min(LARGEST_CD - 1) + LEAD_IN;
    [0, frames / (60 * 75), frames / 75 % 60, frames % 75]
}

/// What comes before a reply's data: its length, which does not count itself.
fn with_length(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes(), data].concat()
}

impl Cdrom {
    /// Whether the medium is larger than a CD.
    pub(super) fn is_dvd(&self) -> bool {
        self.tray.sectors().is_ok_and(|sectors| sectors > LARGEST_CD)
    }

    pub(super) fn read_toc(&mut self, packet: Packet) -> Result {
        let as_time = packet.byte(1) & 2 != 0;
        // SFF-8020i has the format in the last byte of the ten-byte form.
        let format = match packet.byte(2) & 0x0F {
            0 => packet.byte(9) >> 6,
            format => format,
        };
        let (start, allocated, sectors) = (packet.byte(6), packet.word(7), self.tray.sectors()?);
        let data = match format {
            // Tracks, from the one named on, and the lead-out.
            0 if start <= 1 || start == LEAD_OUT => {
                let track = |number, at| [&[0, DATA_TRACK, number, 0], &address(at, as_time)[..]].concat();
                let tracks = if start == LEAD_OUT { vec![] } else { track(1, 0) };
                [vec![1, 1], tracks, track(LEAD_OUT, sectors)].concat()
            }
            // Sessions: the first track of the last one.
            1 => [&[1, 1, 0, DATA_TRACK, 1, 0], &address(0, as_time)[..]].concat(),
            // The Q subchannel of the lead-in: first track, last track, lead-out, then the track.
            2 => {
                let entry = |point, [zero, m, s, f]: [u32; 4]| {
                    [1, DATA_TRACK, 0, point, 0, 0, 0, zero as u8, m as u8, s as u8, f as u8]
                };
                let entries = [
                    entry(0xA0, [0, 1, 0, 0]),
                    entry(0xA1, [0, 1, 0, 0]),
                    entry(0xA2, time(sectors)),
                    entry(1, time(0)),
                ];
                [&[1, 1], &entries.concat()[..]].concat()
            }
            _ => return Err(Sense::INVALID_FIELD),
        };
        Ok(Outcome::reply(with_length(&data), allocated))
    }

    pub(super) fn read_subchannel(&mut self, packet: Packet) -> Result {
        let (as_time, wants_q) = (packet.byte(1) & 2 != 0, packet.byte(2) & 0x40 != 0);
        let data = match packet.byte(3) {
            _ if !wants_q => vec![],
            // The current position: we never play, so it is the start of the track.
            1 => {
                let at = address(0, as_time);
                [&[1, DATA_TRACK, 1, 1], &at[..], &if as_time { [0; 4] } else { at }].concat()
            }
            // Media catalogue number and ISRC: there are none.
            2 => [&[2, 0, 0, 0], &[0; 16][..]].concat(),
            3 => [&[3, DATA_TRACK, 1, 0], &[0; 16][..]].concat(),
            _ => return Err(Sense::INVALID_FIELD),
        };
        // Audio status 00h: not supported.
        Ok(Outcome::reply([vec![0, 0], with_length(&data)].concat(), packet.word(7)))
    }

    pub(super) fn read_disc_information(&mut self, packet: Packet) -> Result {
        let mut data = [0; 32];
        // The disc and its last session are complete.
        data[0] = 0x0E;
        // First track, sessions, first and last track of the last session.
        data[1..5].fill(1);
        // Unrestricted use; lead-in and lead-out of a complete disc are not told.
        data[5] = 0x20;
        data[14..22].fill(0xFF);
        Ok(Outcome::reply(with_length(&data), packet.word(7)))
    }

    pub(super) fn read_track_information(&mut self, packet: Packet) -> Result {
        let sectors = self.tray.sectors()?;
        let number = u32::from_be_bytes([packet.byte(2), packet.byte(3), packet.byte(4), packet.byte(5)]);
        let exists = match packet.byte(1) & 3 {
            0 => number < sectors,
            1 | 2 => number == 1,
            _ => false,
        };
        if !exists {
            return Err(Sense::INVALID_FIELD);
        }
        let mut data = [0; 34];
        // Track and session 1; a data track, in mode 1.
        data[0..2].fill(1);
        data[3] = 0x04;
        data[4] = 0x01;
        data[22..26].copy_from_slice(&sectors.to_be_bytes());
        Ok(Outcome::reply(with_length(&data), packet.word(7)))
    }

    /// READ DVD STRUCTURE: the physical format and the lack of copy protection.
    pub(super) fn read_dvd_structure(&mut self, packet: Packet) -> Result {
        let (layer, format, allocated) = (packet.byte(6), packet.byte(7), packet.word(8));
        if !self.is_dvd() || layer != 0 {
            return Err(Sense::INVALID_FIELD);
        }
        let structure = match format {
            0 => {
                /// The sector number, counted from the lead-in, at which the data area begins.
                const DATA_START: u32 = 0x03_0000;
                let last = DATA_START.saturating_add(self.tray.sectors()? - 1);
                let mut structure = vec![0; 2048];
                // DVD-ROM, version 1; 120 mm, no maximum rate; one layer, read-only; standard densities.
                structure[..3].copy_from_slice(&[0x01, 0x0F, 0x01]);
                structure[4..8].copy_from_slice(&DATA_START.to_be_bytes());
                structure[8..12].copy_from_slice(&last.to_be_bytes());
                structure
            }
            1 => vec![0; 4],
            _ => return Err(Sense::INVALID_FIELD),
        };
        Ok(Outcome::reply(with_length(&[vec![0, 0], structure].concat()), allocated))
    }
}
