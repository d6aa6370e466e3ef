//! The packet commands: decoding and execution. MMC-3; SFF-8020i where old drivers expect it.

use super::Cdrom;
use super::sense::Sense;
use super::tray::CD_SECTOR;
use crate::ide::identify::printable;
use serde::{Deserialize, Serialize};

/// A command packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ide) struct Packet(pub [u8; Packet::LENGTH]);

impl Packet {
    pub const LENGTH: usize = 12;

    pub(super) fn byte(self, at: usize) -> u8 {
        self.0[at]
    }
    pub(super) fn word(self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }
    fn dword(self, at: usize) -> u32 {
        u32::from(self.word(at)) << 16 | u32::from(self.word(at + 2))
    }
    fn minute_second_frame(self, at: usize) -> Option<u32> {
        let [m, s, f] = [at, at + 1, at + 2].map(|at| u32::from(self.0[at]));
        let is_valid = s < 60 && f < 75;
        ((m * 60 + s) * 75 + f).checked_sub(LEAD_IN).filter(|_| is_valid)
    }
}

/// Sectors between the start of the disc's time and sector 0.
pub(super) const LEAD_IN: u32 = 150;

/// What a packet command leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// This reply is transferred.
    Reply(Vec<u8>),
    /// `count` sectors, all of them on the medium, are transferred.
    Sectors {
        first: u32,
        count: u32,
    },
}

impl Outcome {
    /// `reply`, cut to the length that the host allocated for it.
    pub fn reply(reply: impl Into<Vec<u8>>, allocated: u16) -> Self {
        let mut reply = reply.into();
        reply.truncate(usize::from(allocated));
        if reply.is_empty() { Outcome::Done } else { Outcome::Reply(reply) }
    }
}

pub(super) type Result = std::result::Result<Outcome, Sense>;

/// What a command requires before it is looked at more closely.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing: not even a unit attention keeps it from being executed.
    Nothing,
    /// That no unit attention is pending.
    Attention,
    /// That, and a medium.
    Medium,
}

/// One packet command: its code, what it needs, what it does.
type Row = (u8, Needs, fn(&mut Cdrom, Packet) -> Result);

const COMMANDS: &[Row] = &[
    (0x00, Needs::Medium, |_, _| Ok(Outcome::Done)),
    (0x03, Needs::Nothing, Cdrom::request_sense),
    (0x12, Needs::Nothing, Cdrom::inquiry),
    (0x1A, Needs::Attention, Cdrom::mode_sense_6),
    (0x1B, Needs::Attention, Cdrom::start_stop_unit),
    (0x1E, Needs::Attention, Cdrom::prevent_allow_medium_removal),
    (0x25, Needs::Medium, Cdrom::read_capacity),
    (0x28, Needs::Medium, |cdrom, p| cdrom.sectors(p.dword(2), p.word(7).into())),
    (0x2B, Needs::Medium, |cdrom, p| cdrom.sectors(p.dword(2), 0)),
    (0x42, Needs::Medium, Cdrom::read_subchannel),
    (0x43, Needs::Medium, Cdrom::read_toc),
    (0x46, Needs::Nothing, Cdrom::get_configuration),
    (0x4A, Needs::Nothing, Cdrom::get_event_status_notification),
    (0x51, Needs::Medium, Cdrom::read_disc_information),
    (0x52, Needs::Medium, Cdrom::read_track_information),
    (0x5A, Needs::Attention, Cdrom::mode_sense_10),
    (0xA8, Needs::Medium, |cdrom, p| cdrom.sectors(p.dword(2), p.dword(6))),
    (0xAD, Needs::Medium, Cdrom::read_dvd_structure),
    (0xB9, Needs::Medium, Cdrom::read_cd_msf),
    (0xBB, Needs::Attention, |_, _| Ok(Outcome::Done)),
    (0xBD, Needs::Attention, Cdrom::mechanism_status),
    (0xBE, Needs::Medium, Cdrom::read_cd),
];

/// Whether executing `packet` moves the head.
pub(super) fn is_seeking(packet: Packet) -> bool {
    matches!(packet.byte(0), 0x28 | 0x2B | 0xA8 | 0xB9 | 0xBE)
}

impl Cdrom {
    /// Executes a command packet.
    pub(super) fn packet(&mut self, packet: Packet) -> Result {
        let code = packet.byte(0);
        let row = COMMANDS.iter().find(|(row, ..)| *row == code);
        let (_, needs, execute) = row.ok_or(Sense::INVALID_COMMAND)?;
        if *needs != Needs::Nothing
            && let Some(attention) = self.take_attention()
        {
            return Err(attention);
        }
        if *needs == Needs::Medium {
            self.tray.sectors()?;
        }
        execute(self, packet)
    }

    fn request_sense(&mut self, packet: Packet) -> Result {
        let sense = match std::mem::take(&mut self.sense) {
            Sense::NONE => self.take_attention().unwrap_or(Sense::NONE),
            sense => sense,
        };
        Ok(Outcome::reply(sense.data(), packet.byte(4).into()))
    }

    fn inquiry(&mut self, packet: Packet) -> Result {
        if packet.byte(1) & 1 != 0 {
            return Err(Sense::INVALID_FIELD);
        }
        // A removable CD-ROM device of ATAPI version 2, and the 31 bytes that follow the first five.
        let mut data = vec![0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0];
        let mut model = printable(&self.identity.model);
        data.extend(model.by_ref().chain(std::iter::repeat(b' ')).take(8));
        data.extend(model.chain(std::iter::repeat(b' ')).take(16));
        data.extend(printable(&self.identity.firmware).chain(std::iter::repeat(b' ')).take(4));
        Ok(Outcome::reply(data, packet.word(3)))
    }

    fn start_stop_unit(&mut self, packet: Packet) -> Result {
        let (start, load_eject) = (packet.byte(4) & 1 != 0, packet.byte(4) & 2 != 0);
        match (load_eject, start) {
            (true, false) if self.tray.state.locked => return Err(Sense::REMOVAL_PREVENTED),
            (true, false) => self.tray.open(),
            (true, true) if self.tray.state.open => self.tray.close(),
            (false, true) => drop(self.tray.sectors()?),
            (true, true) | (false, false) => {}
        }
        Ok(Outcome::Done)
    }

    fn prevent_allow_medium_removal(&mut self, packet: Packet) -> Result {
        self.tray.state.locked = packet.byte(4) & 1 != 0;
        Ok(Outcome::Done)
    }

    fn read_capacity(&mut self, _: Packet) -> Result {
        let last = self.tray.sectors()?.saturating_sub(1);
        let data = [last.to_be_bytes(), (CD_SECTOR as u32).to_be_bytes()].concat();
        Ok(Outcome::Reply(data))
    }

    /// Sectors `first .. first + count`, if they are all on the medium.
    fn sectors(&mut self, first: u32, count: u32) -> Result {
        let sectors = self.tray.sectors()?;
        if first >= sectors || count > sectors - first {
            return Err(Sense::OUT_OF_RANGE);
        }
        Ok(if count == 0 { Outcome::Done } else { Outcome::Sectors { first, count } })
    }

    fn read_cd(&mut self, packet: Packet) -> Result {
        let count = packet.dword(5) & 0x00FF_FFFF;
        self.read_main_channel(packet, packet.dword(2), count)
    }

    fn read_cd_msf(&mut self, packet: Packet) -> Result {
        let first = packet.minute_second_frame(3).ok_or(Sense::INVALID_FIELD)?;
        let end = packet.minute_second_frame(6).ok_or(Sense::INVALID_FIELD)?;
        let count = end.checked_sub(first).ok_or(Sense::INVALID_FIELD)?;
        self.read_main_channel(packet, first, count)
    }

    /// READ CD of either form. The media hold the user data of mode 1 sectors and nothing else, so that is
    /// what can be asked for.
    fn read_main_channel(&mut self, packet: Packet, first: u32, count: u32) -> Result {
        const USER_DATA: u8 = 0x10;
        let (sector_type, parts, subchannel) = (packet.byte(1) >> 2 & 7, packet.byte(9), packet.byte(10));
        match (sector_type, parts & 0xFE, subchannel & 7) {
            (0 | 2, USER_DATA, 0) => self.sectors(first, count),
            (0 | 2, 0, 0) => self.sectors(first, 0),
            (0 | 2, ..) => Err(Sense::INVALID_FIELD),
            _ => Err(Sense::ILLEGAL_MODE_FOR_TRACK),
        }
    }

    fn get_event_status_notification(&mut self, packet: Packet) -> Result {
        /// Notification class 4, media, as a number and as the bit that asks for it.
        const MEDIA: u8 = 4;
        const MEDIA_BIT: u8 = 1 << MEDIA;
        const NO_EVENT_AVAILABLE: u8 = 0x80;
        let (polled, classes, allocated) = (packet.byte(1) & 1 != 0, packet.byte(4), packet.word(7));
        if !polled {
            return Err(Sense::INVALID_FIELD);
        }
        if classes & MEDIA_BIT == 0 {
            return Ok(Outcome::reply([0, 2, NO_EVENT_AVAILABLE, MEDIA_BIT], allocated));
        }
        // An event is told once, and only to a host that has room for it.
        let event = if allocated > 4 { self.tray.take_event() } else { 0 };
        let status = u8::from(self.tray.state.open) | u8::from(self.tray.is_loaded()) << 1;
        Ok(Outcome::reply([0, 6, MEDIA, MEDIA_BIT, event, status, 0, 0], allocated))
    }

    fn mechanism_status(&mut self, packet: Packet) -> Result {
        const DOOR_OPEN: u8 = 0x10;
        let door = if self.tray.state.open { DOOR_OPEN } else { 0 };
        Ok(Outcome::reply([0, door, 0, 0, 0, 1, 0, 0], packet.word(8)))
    }
}
