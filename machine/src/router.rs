//! The bus: from the processor's accesses to the devices.

use crate::board::Board;
use crate::memmap::{PAM_AREA, VGA_WINDOW};
use crate::ports::PortDevice;
use idem86_cpu::bus::{Bus, PageKind, Pins, Work};
use idem86_cpu::report::Event;
use idem86_devices::access::{AccessSize, IoError, Mmio};
use idem86_devices::ide::ChannelId;
use idem86_devices::ioapic::IoApic;
use idem86_devices::lapic::Acknowledged;
use idem86_devices::time::{GuestTime, Timed};
use idem86_devices::vga::VRAM_SIZE;

fn access_size(bytes: usize) -> AccessSize {
    match bytes {
        1 => AccessSize::Byte,
        2 => AccessSize::Word,
        _ => AccessSize::Dword,
    }
}

impl Board {
    /// One access to one device. `None` if nobody answers; a device that does not take the width is asked byte
    /// by byte, as the ISA bridge does.
    pub(crate) fn read_device_port(&mut self, port: u16, size: AccessSize, now: GuestTime) -> u32 {
        let (device, offset) = self.ports.at(port);
        let answer = self.port_device(device).map(|d| d.read_port(offset, size, now));
        self.note_deadline(device);
        match answer {
            Some(Ok(value)) => value,
            Some(Err(IoError::WrongSize)) if size != AccessSize::Byte => self.read_bytes(port, size, now),
            // A wide access may begin at a port that nobody has and still reach one that somebody has.
            None if size != AccessSize::Byte => self.read_bytes(port, size, now),
            _ => {
                self.unclaimed += 1;
                size.ones()
            }
        }
    }

    fn read_bytes(&mut self, port: u16, size: AccessSize, now: GuestTime) -> u32 {
        (0..u16::from(size.bytes())).fold(0, |value, n| {
            let byte = self.read_device_port(port.wrapping_add(n), AccessSize::Byte, now);
            value | (byte & 0xFF) << (8 * n)
        })
    }

    pub(crate) fn write_device_port(&mut self, port: u16, size: AccessSize, value: u32, now: GuestTime) {
        let (device, offset) = self.ports.at(port);
        if device == PortDevice::FirmwareTrap {
            self.signals.firmware = true;
            self.signals.pause = true;
            return;
        }
        let answer = self.port_device(device).map(|d| d.write_port(offset, size, value, now));
        self.note_deadline(device);
        match answer {
            Some(Ok(())) => {}
            Some(Err(IoError::WrongSize)) | None if size != AccessSize::Byte => {
                for n in 0..u16::from(size.bytes()) {
                    let byte = value >> (8 * n) & 0xFF;
                    self.write_device_port(port.wrapping_add(n), AccessSize::Byte, byte, now);
                }
            }
            _ => self.unclaimed += 1,
        }
    }

    /// The device that has `address`, with the offset in it.
    fn memory_device(&mut self, address: u64) -> Option<(&mut dyn Mmio, u64)> {
        match address {
            VGA_WINDOW..PAM_AREA => Some((&mut self.vga, address - VGA_WINDOW)),
            _ if address & !0xFFF == IoApic::BASE_ADDRESS => Some((&mut self.ioapic, address & 0xFFF)),
            _ if Some(address & !0xFFF) == self.lapic.base_address() => {
                Some((&mut self.lapic, address & 0xFFF))
            }
            _ => None,
        }
    }

    /// The offset of `address` in the linear frame buffer.
    fn frame_buffer_offset(&self, address: u64) -> Option<u64> {
        self.frame_buffer.and_then(|base| address.checked_sub(base)).filter(|at| *at < VRAM_SIZE as u64)
    }

    fn read_memory(&mut self, address: u64, size: AccessSize, now: GuestTime) -> u32 {
        if let Some((device, region, offset)) = self.attached.at_address(address) {
            let value = device.read(region, offset, size, now) & size.ones();
            self.note_deadline(PortDevice::Attached);
            return value;
        }
        if let Some(offset) = self.frame_buffer_offset(address) {
            return self.vga.linear_frame_buffer().read_memory(offset, size, now).unwrap_or(size.ones());
        }
        match self.memory_device(address).map(|(device, offset)| device.read_memory(offset, size, now)) {
            Some(Ok(value)) => value,
            Some(Err(IoError::WrongSize)) if size != AccessSize::Byte => (0..u64::from(size.bytes()))
                .fold(0, |value, n| value | self.read_memory(address + n, AccessSize::Byte, now) << (8 * n)),
            _ => {
                self.unclaimed += 1;
                size.ones()
            }
        }
    }

    fn write_memory(&mut self, address: u64, size: AccessSize, value: u32, now: GuestTime) {
        if let Some(ram) = self.memory.write_only(address) {
            for n in 0..size.bytes() {
                self.write_only.push((ram + u64::from(n), (value >> (8 * n)) as u8));
            }
            self.signals.pause = true;
            return;
        }
        if let Some((device, region, offset)) = self.attached.at_address(address) {
            device.write(region, offset, size, value & size.ones(), now);
            self.note_deadline(PortDevice::Attached);
            return;
        }
        match self
            .memory_device(address)
            .map(|(device, offset)| device.write_memory(offset, size, value, now))
        {
            Some(Ok(())) => {}
            Some(Err(IoError::WrongSize)) if size != AccessSize::Byte => {
                for n in 0..u64::from(size.bytes()) {
                    self.write_memory(address + n, AccessSize::Byte, value >> (8 * n) & 0xFF, now);
                }
            }
            _ => self.unclaimed += 1,
        }
    }

    /// The IDE channel whose data register is at `port`.
    fn ide_data_port(&self, port: u16) -> Option<ChannelId> {
        match self.ports.at(port) {
            _ if self.ports.is_hooked(port) => None,
            (PortDevice::Ide, 0) => Some(ChannelId::Primary),
            (PortDevice::Ide, offset) if port == 0x170 && offset != 0 => Some(ChannelId::Secondary),
            _ => None,
        }
    }
}

impl Bus for Board {
    fn page(&mut self, page: u64) -> PageKind {
        self.memory.page(page)
    }

    fn read(&mut self, address: u64, size: usize, now: Work) -> u64 {
        let now = self.now(now);
        if size == 8 {
            let low = self.read_memory(address, AccessSize::Dword, now);
            let high = self.read_memory(address + 4, AccessSize::Dword, now);
            u64::from(high) << 32 | u64::from(low)
        } else {
            u64::from(self.read_memory(address, access_size(size), now))
        }
    }

    fn write(&mut self, address: u64, size: usize, value: u64, now: Work) {
        let now = self.now(now);
        if size == 8 {
            self.write_memory(address, AccessSize::Dword, value as u32, now);
            self.write_memory(address + 4, AccessSize::Dword, (value >> 32) as u32, now);
        } else {
            self.write_memory(address, access_size(size), value as u32, now);
        }
        // The timer of the local APIC is the only thing in memory space that has deadlines.
        if address >= IoApic::BASE_ADDRESS && self.lapic.next_event().is_some_and(|at| at < self.deadline) {
            self.signals.pause = true;
        }
    }

    fn port_in(&mut self, port: u16, size: usize, now: Work) -> u32 {
        if self.ports.is_hooked(port) {
            return self.hooked_access(port, access_size(size), None, now);
        }
        let now = self.now(now);
        self.read_device_port(port, access_size(size), now)
    }

    fn port_out(&mut self, port: u16, size: usize, value: u32, now: Work) {
        if self.ports.is_hooked(port) {
            self.hooked_access(port, access_size(size), Some(value), now);
            return;
        }
        let now = self.now(now);
        self.write_device_port(port, access_size(size), value, now);
    }

    fn port_in_block(&mut self, port: u16, size: usize, out: &mut [u8], now: Work) -> usize {
        if let Some(channel) = self.ide_data_port(port) {
            let read = self.ide.read_data_block(channel, access_size(size), out, self.clock.time(now));
            if read > 0 {
                self.note_deadline(PortDevice::Ide);
                return read / size;
            }
        }
        let Some(item) = out.get_mut(..size) else { return 0 };
        let value = self.port_in(port, size, now);
        item.copy_from_slice(&value.to_le_bytes()[..size]);
        1
    }

    fn port_out_block(&mut self, port: u16, size: usize, data: &[u8], now: Work) -> usize {
        if let Some(channel) = self.ide_data_port(port) {
            let written = self.ide.write_data_block(channel, access_size(size), data, self.clock.time(now));
            if written > 0 {
                self.note_deadline(PortDevice::Ide);
                return written / size;
            }
        }
        let Some(item) = data.get(..size) else { return 0 };
        let mut value = [0; 4];
        value[..size].copy_from_slice(item);
        self.port_out(port, size, u32::from_le_bytes(value), now);
        1
    }

    fn acknowledge_interrupt(&mut self, _now: Work) -> u8 {
        match self.lapic.acknowledge() {
            Acknowledged::Vector(vector) => vector,
            Acknowledged::External => self.pic.acknowledge(),
        }
    }

    fn event(&mut self, event: Event, _now: Work) {
        self.signals.pause |= self.hooks.event(&event);
    }

    fn block(&mut self, linear: u64, _now: Work) {
        self.signals.pause |= self.hooks.block(linear);
    }

    fn intercept_read(&mut self, address: u64, size: usize, memory: Option<u64>, now: Work) -> Option<u64> {
        self.intercepted_read(address, size, memory, now)
    }

    fn intercept_write(&mut self, address: u64, size: usize, value: u64, now: Work) -> Option<u64> {
        self.intercepted_write(address, size, value, now)
    }

    fn ferr(&mut self, asserted: bool) {
        self.coprocessor.set_ferr(asserted);
    }

    fn ignne(&mut self) -> bool {
        self.coprocessor.ignne()
    }

    fn write_apic_base(&mut self, value: u64) -> bool {
        self.lapic.set_apic_base(value);
        true
    }

    fn pins(&mut self) -> Pins {
        let intr = self.sync_interrupts();
        let signals = std::mem::take(&mut self.signals);
        // Both are asked, so that neither request stays behind.
        let reset = self.ps2.take_reset_request() | self.port92.take_reset_request();
        // The run loop asks for these itself.
        self.signals.firmware = signals.firmware;
        self.signals.system_reset = signals.system_reset;
        Pins {
            intr,
            nmi: signals.nmi && !self.rtc.nmi_masked(),
            a20: self.ps2.a20_open() || self.port92.a20_enabled(),
            reset: signals.reset | signals.system_reset | reset,
            remapped: signals.remapped,
            pause: signals.pause,
        }
    }

    fn time_stamp(&mut self, now: Work) -> u64 {
        self.now(now).as_nanos()
    }

    fn time_stamp_rate(&self) -> Option<u64> {
        self.clock.nanos_per_work()
    }
}
