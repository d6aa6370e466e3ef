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
pub struct PortMap(Box<[Place]>);

impl Default for PortMap {
    fn default() -> Self {
        PortMap(
            vec![Place { device: PortDevice::None, hooked: false, offset: 0 }; 0x1_0000].into_boxed_slice(),
        )
    }
}

impl PortMap {
    /// Puts `device` at `ranges`.
    pub fn put(&mut self, device: PortDevice, ranges: &[PortRange]) {
        for range in ranges {
            for n in 0..range.count {
                let place = &mut self.0[usize::from(range.first + n)];
                (place.device, place.offset) = (device, range.offset + n);
            }
        }
    }

    /// Removes `device` from wherever it answers.
    pub fn remove(&mut self, device: PortDevice) {
        for place in self.0.iter_mut().filter(|p| p.device == device) {
            place.device = PortDevice::None;
        }
    }

    /// Somebody wants to know of accesses to `ports`.
    pub fn set_hooked(&mut self, ports: RangeInclusive<u16>) {
        for place in &mut self.0[usize::from(*ports.start())..=usize::from(*ports.end())] {
            place.hooked = true;
        }
    }

    /// Nobody wants to know of accesses any more.
    pub fn clear_hooked(&mut self) {
        self.0.iter_mut().for_each(|place| place.hooked = false);
    }

    /// Whether somebody wants to know of accesses to `port`.
    #[inline]
    pub fn is_hooked(&self, port: u16) -> bool {
        self.0[usize::from(port)].hooked
    }

    /// Who answers at `port`, and which of its registers that is.
    #[inline]
    pub fn at(&self, port: u16) -> (PortDevice, u16) {
        let place = self.0[usize::from(port)];
        (place.device, place.offset)
    }
}
