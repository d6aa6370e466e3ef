//! Cylinders, heads and sectors: how a disk of so many sectors is presented, and translated anew.

use serde::{Deserialize, Serialize};

/// The most cylinders, heads and sectors that a disk presents (ATA/ATAPI-6, "IDENTIFY DEVICE", words 1, 3, 6).
const DEFAULT_LIMIT: Geometry = Geometry { cylinders: 16_383, heads: 16, sectors: 63 };

/// How sectors are addressed by cylinder, head and sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Cylinders, at least 1.
    pub cylinders: u16,
    /// Heads (tracks in a cylinder), 1 to 16.
    pub heads: u8,
    /// Sectors in a track, at least 1; they count from 1.
    pub sectors: u8,
}

impl Geometry {
    /// The geometry that a disk of `capacity` sectors (at least 1) presents by default: 16 heads and 63
    /// sectors where there is enough for one such cylinder, and never more than 16383 cylinders.
    pub fn for_capacity(capacity: u64) -> Self {
        let sectors = capacity.clamp(1, u64::from(DEFAULT_LIMIT.sectors)) as u8;
        let heads = (capacity / u64::from(sectors)).clamp(1, u64::from(DEFAULT_LIMIT.heads)) as u8;
        let cylinders = capacity / (u64::from(heads) * u64::from(sectors));
        let cylinders = cylinders.clamp(1, u64::from(DEFAULT_LIMIT.cylinders)) as u16;
        Geometry { cylinders, heads, sectors }
    }

    /// `capacity` sectors cut into tracks of `sectors` and cylinders of `heads`; `None` if not even one
    /// cylinder fits or the numbers are not of the kind that registers can hold.
    pub fn translated(capacity: u64, heads: u8, sectors: u8) -> Option<Self> {
        let mut geometry = Geometry { cylinders: 1, heads, sectors };
        if !geometry.is_addressable() {
            return None;
        }
        let cylinders = capacity / u64::from(geometry.capacity());
        geometry.cylinders = cylinders.min(u64::from(u16::MAX)) as u16;
        geometry.is_addressable().then_some(geometry)
    }

    /// Whether every number is within its documented range.
    pub fn is_addressable(&self) -> bool {
        self.cylinders >= 1 && (1..=16).contains(&self.heads) && self.sectors >= 1
    }

    /// Sectors that can be addressed.
    pub fn capacity(&self) -> u32 {
        u32::from(self.cylinders) * u32::from(self.heads) * u32::from(self.sectors)
    }

    /// The sector at (cylinder, head, sector); `None` if there is none.
    pub fn lba(&self, (cylinder, head, sector): (u16, u8, u8)) -> Option<u32> {
        let exists = cylinder < self.cylinders && head < self.heads && (1..=self.sectors).contains(&sector);
        exists.then(|| {
            let track = u32::from(cylinder) * u32::from(self.heads) + u32::from(head);
            track * u32::from(self.sectors) + u32::from(sector) - 1
        })
    }

    /// Cylinder, head and sector of sector `lba`; the cylinder saturates where it does not fit.
    pub fn chs(&self, lba: u64) -> (u16, u8, u8) {
        let (track, sector) = (lba / u64::from(self.sectors), lba % u64::from(self.sectors));
        let (cylinder, head) = (track / u64::from(self.heads), track % u64::from(self.heads));
        (u16::try_from(cylinder).unwrap_or(u16::MAX), head as u8, sector as u8 + 1)
    }
}
