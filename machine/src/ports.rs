//! The I/O address space: which device answers at which port.

use idem86_devices::access::PortRange;
use std::ops::RangeInclusive;

/// The devices of the board that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PortDevice {
    /// Nobody answers.
    None,
    /// 8259A pair.
    Pic,
    /// 8254 and port 61h.
    Pit,
    /// Real-time clock and CMOS memory.
    Rtc,
    /// 8042, keyboard and mouse.
    Ps2,
    /// 8237A pair and page registers.
    Dma,
    /// POST code latch.
    PostCode,
    /// Serial port COM1.
    Com1,
    /// Serial port COM2.
    Com2,
    /// Serial port COM3.
    Com3,
    /// Serial port COM4.
    Com4,
    /// Both IDE channels.
    Ide,
    /// Floppy controller.
    Floppy,
    /// VGA and its display interface.
    Vga,
    /// Fast A20 gate and reset.
    Port92,
    /// Debug console.
    DebugConsole,
    /// Debug-exit port.
    DebugExit,
    /// Firmware configuration.
    FwCfg,
    /// PCI configuration and reset control.
    Pci,
    /// Power management.
    Power,
    /// Latch of coprocessor errors.
    Coprocessor,
    /// A device of the embedding program.
    Attached,
    /// Where our firmware calls its services.
    FirmwareTrap,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    device: PortDevice,
    /// Somebody wants to know of accesses.
    hooked: bool,
    offset: u16,
}

/// All 65,536 ports.
#[derive(Clone, Debug)]
pub struct PortMap {
    places: Box<[Place]>,
    /// What was put where, so that removing it need not look at all ports.
    put: Vec<(PortDevice, PortRange)>,
}

impl Default for PortMap {
    fn default() -> Self {
        let nobody = Place { device: PortDevice::None, hooked: false, offset: 0 };
        PortMap { places: vec![nobody; 0x1_0000].into_boxed_slice(), put: Vec::new() }
    }
}

impl PortMap {
    /// Puts `device` at `ranges`.
    pub fn put(&mut self, device: PortDevice, ranges: &[PortRange]) {
        for range in ranges {
            for n in 0..range.count {
                let place = &mut self.places[usize::from(range.first + n)];
                (place.device, place.offset) = (device, range.offset + n);
            }
            self.put.push((device, *range));
        }
    }

    /// Puts `device` at those of `ports` where nobody is; their offsets are their numbers.
    pub fn put_where_free(&mut self, device: PortDevice, ports: RangeInclusive<u16>) {
        for port in ports {
            if self.at(port).0 == PortDevice::None {
                self.put(device, &[PortRange::new(port, 1, port)]);
            }
        }
    }

    /// Removes `device` from wherever it answers.
    pub fn remove(&mut self, device: PortDevice) {
        let places = &mut self.places;
        self.put.retain(|(other, range)| {
            if *other == device {
                let range = usize::from(range.first)..usize::from(range.first) + usize::from(range.count);
                let own = places[range].iter_mut().filter(|place| place.device == device);
                own.for_each(|place| place.device = PortDevice::None);
            }
            *other != device
        });
    }

    /// Whether somebody wants to know of accesses to `ports`.
    pub fn set_hooked(&mut self, ports: RangeInclusive<u16>, hooked: bool) {
        for port in ports {
            self.places[usize::from(port)].hooked = hooked;
        }
    }

    /// Whether somebody wants to know of accesses to `port`.
    #[inline]
    pub fn is_hooked(&self, port: u16) -> bool {
        self.places[usize::from(port)].hooked
    }

    /// Who answers at `port`, and which of its registers that is.
    #[inline]
    pub fn at(&self, port: u16) -> (PortDevice, u16) {
        let place = self.places[usize::from(port)];
        (place.device, place.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_come_and_go() {
        let mut map = PortMap::default();
        map.put(PortDevice::Ide, &[PortRange::new(0xFFF0, 16, 3)]);
        map.put(PortDevice::Power, &[PortRange::new(0xFFF8, 4, 0)]);
        assert_eq!(map.at(0xFFFF), (PortDevice::Ide, 18));
        map.put_where_free(PortDevice::Attached, 0xFFEE..=0xFFFF);
        assert_eq!((map.at(0xFFEF).0, map.at(0xFFF0).0), (PortDevice::Attached, PortDevice::Ide));
        map.set_hooked(0xFFF8..=0xFFF8, true);
        map.remove(PortDevice::Ide);
        assert_eq!((map.at(0xFFF0).0, map.at(0xFFF9).0), (PortDevice::None, PortDevice::Power));
        map.remove(PortDevice::Power);
        map.remove(PortDevice::Attached);
        assert!((0..=0xFFFF).all(|port| map.at(port).0 == PortDevice::None && map.put.is_empty()));
        assert!(map.is_hooked(0xFFF8) && !map.is_hooked(0xFFF9));
    }
}
