//! What the drive tells of itself: IDENTIFY PACKET DEVICE, mode pages, features. ATA/ATAPI-6; MMC-3.

use super::Cdrom;
use super::packet::{Outcome, Packet, Result};
use super::sense::Sense;
use crate::ide::identify::{VALID, Words};
use crate::ide::spec::SECTOR;

/// Word 0: a removable CD-ROM device with packets of 12 bytes, for which it asks within 50 us.
const GENERAL: u16 = 0x85C0;
/// Word 49: DMA, LBA, IORDY that can be disabled.
const CAPABILITIES: u16 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8;
/// Words 82 and 85: NOP, DEVICE RESET, PACKET, power management.
const COMMANDS_82: u16 = 1 << 14 | 1 << 9 | 1 << 4 | 1 << 3;

/// Read speed in kB/s: 24 times that of an audio CD.
const SPEED: u16 = 4234;
/// Buffer size in KiB.
const BUFFER: u16 = 64;

/// Profiles (MMC-3, "Profile List").
const CD_ROM: u16 = 0x0008;
const DVD_ROM: u16 = 0x0010;

/// A feature (MMC-3, "Features"): its number, version and persistence, whether it is current, its data.
struct Feature {
    number: u16,
    version: u8,
    persistent: bool,
    current: bool,
    data: Vec<u8>,
}

impl Cdrom {
    /// The 512 bytes of IDENTIFY PACKET DEVICE.
    pub(super) fn identify(&self) -> [u8; SECTOR] {
        let mut words = Words::new(&self.identity, self.position, self.dma);
        let w = &mut words.0;
        w[0] = GENERAL;
        w[49] = CAPABILITIES;
        w[50] = VALID;
        w[51] = 2 << 8;
        // Words 64 to 70 and 88 are valid.
        w[53] = 6;
        // ATA/ATAPI-4 to 6.
        w[80] = 0x70;
        w[82] = COMMANDS_82;
        w[83] = VALID;
        w[84] = VALID;
        w[85] = COMMANDS_82;
        w[87] = VALID;
        words.into_bytes()
    }

    /// Medium Type Code of the mode parameter header (SFF-8020i).
    fn medium_type(&self) -> u8 {
        match self.tray.sectors() {
            // 120 mm, data.
            Ok(_) => 0x01,
            Err(Sense::TRAY_OPEN) => 0x71,
            Err(_) => 0x70,
        }
    }

    pub(super) fn mode_sense_6(&mut self, packet: Packet) -> Result {
        let pages = self.mode_pages(packet)?;
        let header = [(3 + pages.len()) as u8, self.medium_type(), 0, 0];
        Ok(Outcome::reply([&header, &pages[..]].concat(), packet.byte(4).into()))
    }

    pub(super) fn mode_sense_10(&mut self, packet: Packet) -> Result {
        let pages = self.mode_pages(packet)?;
        let header = [0, (6 + pages.len()) as u8, self.medium_type(), 0, 0, 0, 0, 0];
        Ok(Outcome::reply([&header, &pages[..]].concat(), packet.word(7)))
    }

    /// The mode pages that `packet` asks for. None of their values can be changed, which is what a request
    /// for the changeable ones tells.
    fn mode_pages(&self, packet: Packet) -> std::result::Result<Vec<u8>, Sense> {
        const CHANGEABLE: u8 = 1;
        const SAVED: u8 = 3;
        const ALL: u8 = 0x3F;
        let (control, wanted) = (packet.byte(2) >> 6, packet.byte(2) & ALL);
        if control == SAVED {
            return Err(Sense::SAVING_NOT_SUPPORTED);
        }
        let [speed, buffer] = [SPEED, BUFFER].map(u16::to_be_bytes);
        // Tray, eject, lock state, lock.
        let mechanism = 1 << 5 | 1 << 3 | u8::from(self.tray.state.locked) << 1 | 1;
        // Read error recovery; CD-ROM; capabilities and mechanical status: reads CD-R, CD-RW, DVD-ROM.
        let pages: [&[u8]; 3] = [
            &[0x01, 6, 0, 5, 0, 0, 0, 0],
            &[0x0D, 6, 0, 0, 0, 60, 0, 75],
            &[
                0x2A, 18, 0x0B, 0, 0, 0, mechanism, 0, speed[0], speed[1], 0, 0, buffer[0], buffer[1],
                speed[0], speed[1], 0, 0, 0, 0,
            ],
        ];
        let mut found = Vec::new();
        for page in pages.into_iter().filter(|page| wanted == ALL || wanted == page[0]) {
            let at = found.len();
            found.extend_from_slice(page);
            if control == CHANGEABLE {
                found[at + 2..].fill(0);
            }
        }
        if found.is_empty() { Err(Sense::INVALID_FIELD) } else { Ok(found) }
    }

    pub(super) fn get_configuration(&mut self, packet: Packet) -> Result {
        /// Which features are asked for.
        const CURRENT: u8 = 1;
        const ONE: u8 = 2;
        let (request, start, allocated) = (packet.byte(1) & 3, packet.word(2), packet.word(7));
        let profile = match self.tray.is_loaded() {
            false => 0,
            true if self.is_dvd() => DVD_ROM,
            true => CD_ROM,
        };
        let mut data = vec![0, 0];
        data.extend(profile.to_be_bytes());
        for feature in self.features(profile) {
            let is_wanted = match request {
                ONE => feature.number == start,
                CURRENT => feature.number >= start && feature.current,
                0 => feature.number >= start,
                _ => return Err(Sense::INVALID_FIELD),
            };
            if is_wanted {
                data.extend(feature.number.to_be_bytes());
                let persistent = u8::from(feature.persistent) << 1;
                data.push(feature.version << 2 | persistent | u8::from(feature.current));
                data.push(feature.data.len() as u8);
                data.extend(feature.data);
            }
        }
        let length = (data.len() as u32).to_be_bytes();
        Ok(Outcome::reply([&length, &data[..]].concat(), allocated))
    }

    /// All features, in the order of their numbers.
    fn features(&self, profile: u16) -> Vec<Feature> {
        let always =
            |number, version, data| Feature { number, version, persistent: true, current: true, data };
        let with_medium =
            |number, current, data| Feature { number, version: 0, persistent: false, current, data };
        let profiles = [DVD_ROM, CD_ROM].map(|p| {
            let [high, low] = p.to_be_bytes();
            [high, low, u8::from(p == profile), 0]
        });
        let is_loaded = profile != 0;
        vec![
            always(0x0000, 0, profiles.concat()),
            // Core: on ATAPI.
            always(0x0001, 0, vec![0, 0, 0, 2]),
            // Morphing: events are polled.
            always(0x0002, 0, vec![0, 0, 0, 0]),
            // Removable medium: tray, eject, lock.
            always(0x0003, 0, vec![1 << 5 | 1 << 3 | 1, 0, 0, 0]),
            // Random readable: 2048-byte sectors, one at a time, with error recovery page.
            with_medium(0x0010, is_loaded, vec![0, 0, 8, 0, 0, 1, 1, 0]),
            // CD read, DVD read.
            with_medium(0x001E, profile == CD_ROM, vec![0, 0, 0, 0]),
            with_medium(0x001F, profile == DVD_ROM, vec![]),
            // Power management, timeout.
            always(0x0100, 0, vec![]),
            always(0x0105, 0, vec![]),
        ]
    }
}
