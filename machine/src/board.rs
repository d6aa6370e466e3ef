//! The board: the devices of the PC, how they are wired, and their common clock.

use crate::attached::Attached;
use crate::clock::Clock;
use crate::hooks::Hooks;
use crate::memmap::{MemoryMap, Shadow};
use crate::ports::{PortDevice, PortMap};
use idem86_cpu::bus::{PageKind, Work};
use idem86_devices::access::{DmaMemory, PortIo, PortRange};
use idem86_devices::acpi::{PowerManagement, PowerRequest, TimerWidth};
use idem86_devices::coprocessor::CoprocessorLatch;
use idem86_devices::debug_exit::DebugExit;
use idem86_devices::debugcon::DebugConsole;
use idem86_devices::dma::{Dma, DmaPeripheral};
use idem86_devices::floppy::{DriveType, Floppy, Pace as FloppyPace};
use idem86_devices::fw_cfg::FwCfg;
use idem86_devices::ide::{ChannelId, Ide};
use idem86_devices::ioapic::IoApic;
use idem86_devices::irq::IrqBank;
use idem86_devices::lapic::{Lapic, ProcessorEvent};
use idem86_devices::pci::{FunctionId, Pci, ResetRequest, standard_vga};
use idem86_devices::pic::Pic;
use idem86_devices::pit::Pit;
use idem86_devices::port92::Port92;
use idem86_devices::post_code::PostCode;
use idem86_devices::ps2::Ps2Controller;
use idem86_devices::reset::Reset;
use idem86_devices::rtc::{CivilDateTime, Rtc};
use idem86_devices::time::{Frequency, GuestTime, Timed};
use idem86_devices::uart::{OUTPUT_CAPACITY, Pace, Uart};
use idem86_devices::vga::{VRAM_SIZE, Vga};
use serde::{Deserialize, Serialize};

/// The ISA interrupt lines, by what a PC uses them for.
mod irq {
    pub const TIMER: u8 = 0;
    pub const KEYBOARD: u8 = 1;
    /// Line 2 is the cascade; what the XT had there is on line 9.
    pub const VERTICAL_RETRACE: u8 = 9;
    pub const COM_EVEN: u8 = 3;
    pub const COM_ODD: u8 = 4;
    pub const CLOCK: u8 = 8;
    pub const FLOPPY: u8 = 6;
    /// Power management, shared with whatever PCI routes there.
    pub const SCI: u8 = 9;
    pub const COPROCESSOR: u8 = 13;
    pub const MOUSE: u8 = 12;
    pub const IDE: [u8; 2] = [14, 15];
}

/// The port at which our firmware calls its services. No PC has a device there.
pub const FIRMWARE_TRAP: u8 = 0xEA;

/// What the local APIC's timer counts: the front side bus of a Pentium III.
const APIC_BUS: Frequency = Frequency::ratio(100_000_000, 1);

/// Where the display adapter is on the PCI bus.
const DISPLAY: FunctionId = FunctionId { device: 2, function: 0 };

/// The devices and their wiring.
pub struct Board {
    /// Guest time.
    pub clock: Clock,
    /// Physical memory.
    pub memory: MemoryMap,
    pub(crate) ports: PortMap,
    /// Interrupt lines 0 to 15.
    pub irqs: IrqBank,
    /// 8259A pair.
    pub pic: Pic,
    /// Local APIC of the processor.
    pub lapic: Lapic,
    /// I/O APIC.
    pub ioapic: IoApic,
    /// 8254 timer.
    pub pit: Pit,
    /// Real-time clock.
    pub rtc: Rtc,
    /// Keyboard controller with keyboard and mouse.
    pub ps2: Ps2Controller,
    /// DMA controllers.
    pub dma: Dma,
    /// POST code latch.
    pub post_code: PostCode,
    /// COM1 to COM4.
    pub com: [Uart; 4],
    /// IDE channels.
    pub ide: Ide,
    /// Floppy controller.
    pub floppy: Floppy,
    /// Display.
    pub vga: Vga,
    /// Fast A20 gate and reset.
    pub port92: Port92,
    /// What firmware prints for its developers.
    pub debug_console: DebugConsole,
    /// Ends the run.
    pub debug_exit: DebugExit,
    /// What the machine tells its firmware.
    pub fw_cfg: FwCfg,
    /// PCI bus 0 with host bridge and PIIX.
    pub pci: Pci,
    /// Power management.
    pub power: PowerManagement,
    /// Latch of coprocessor errors.
    pub coprocessor: CoprocessorLatch,
    /// Where the debug-exit port is, if there is one.
    pub(crate) debug_exit_at: Option<u16>,
    /// The configuration that the maps were made from; see [`Pci::generation`].
    pub(crate) mapped: u64,
    /// Physical address of the linear frame buffer, while it is mapped.
    pub(crate) frame_buffer: Option<u64>,
    /// What the guest wants to become of the machine.
    pub(crate) power_request: Option<PowerRequest>,
    /// The next moment at which a device acts by itself.
    pub(crate) deadline: GuestTime,
    /// What the next look at the pins will report once.
    pub(crate) signals: Signals,
    /// Writes to RAM that lies under ROM for reads, in order.
    pub(crate) write_only: Vec<(u64, u8)>,
    /// Accesses that nobody answered.
    pub unclaimed: u64,
    /// Devices of the embedding program.
    pub(crate) attached: Attached,
    /// Who wants to know what the guest does.
    pub(crate) hooks: Hooks,
}

/// Events between devices and run loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signals {
    /// The run is to be interrupted: a deadline moved, or the run loop has something to do.
    pub pause: bool,
    /// The memory map changed.
    pub remapped: bool,
    /// The processor is to be reset.
    pub reset: bool,
    /// The whole board is to be reset.
    pub system_reset: bool,
    /// A non-maskable interrupt.
    pub nmi: bool,
    /// The firmware called a service.
    pub firmware: bool,
}

impl Board {
    /// A board just switched on at `start`, with the given floppy drives and nothing in them.
    pub fn new(
        memory: MemoryMap,
        clock: Clock,
        start: CivilDateTime,
        pace: Pace,
        floppies: [Option<DriveType>; 2],
    ) -> Self {
        let irqs = IrqBank::new();
        let line = |n| irqs.line(n);
        let com =
            [irq::COM_ODD, irq::COM_EVEN, irq::COM_ODD, irq::COM_EVEN].map(|n| Uart::new(line(n), pace));
        let mut ports = PortMap::default();
        ports.put(PortDevice::Pic, Pic::PORTS);
        ports.put(PortDevice::Pit, Pit::PORTS);
        ports.put(PortDevice::Rtc, Rtc::PORTS);
        ports.put(PortDevice::Ps2, Ps2Controller::PORTS);
        ports.put(PortDevice::Dma, Dma::PORTS);
        ports.put(PortDevice::PostCode, PostCode::PORTS);
        let coms = [PortDevice::Com1, PortDevice::Com2, PortDevice::Com3, PortDevice::Com4];
        for (device, range) in coms.into_iter().zip(Uart::COM_PORTS) {
            ports.put(device, &[range]);
        }
        ports.put(PortDevice::Floppy, Floppy::PORTS);
        ports.put(PortDevice::Vga, Vga::PORTS);
        ports.put(PortDevice::Port92, Port92::PORTS);
        ports.put(PortDevice::DebugConsole, DebugConsole::PORTS);
        ports.put(PortDevice::FwCfg, FwCfg::PORTS);
        ports.put(PortDevice::FirmwareTrap, &[PortRange::new(FIRMWARE_TRAP as u16, 1, 0)]);
        ports.put(PortDevice::Pci, Pci::PORTS);
        let mut pci = Pci::new(std::array::from_fn(|n| line(n as u8)));
        let display = standard_vga(VRAM_SIZE as u32, None, None);
        pci.add(DISPLAY, display).expect("the place is free on a new bus");
        let sci = pci.connect_irq(irq::SCI);
        ports.put(PortDevice::Power, PowerManagement::PORTS);
        ports.put(PortDevice::Coprocessor, CoprocessorLatch::PORTS);
        let mut board = Board {
            clock,
            memory,
            ports,
            pic: Pic::new(irqs.inputs(0)),
            lapic: Lapic::new(0, APIC_BUS),
            ioapic: IoApic::new(irqs.inputs(1)),
            pit: Pit::new(line(irq::TIMER)),
            rtc: Rtc::new(line(irq::CLOCK), start),
            ps2: Ps2Controller::new(line(irq::KEYBOARD), line(irq::MOUSE)),
            dma: Dma::new(),
            post_code: PostCode::default(),
            com,
            ide: Ide::new(irq::IDE.map(line)),
            floppy: Floppy::new(
                line(irq::FLOPPY),
                [floppies[0], floppies[1], None, None],
                FloppyPace::default(),
            ),
            vga: Vga::new(line(irq::VERTICAL_RETRACE)),
            port92: Port92::new(),
            debug_console: DebugConsole::new(),
            debug_exit: DebugExit::new(),
            fw_cfg: FwCfg::new(),
            irqs: irqs.clone(),
            pci,
            power: PowerManagement::new(sci, TimerWidth::Bits32),
            coprocessor: CoprocessorLatch::new(line(irq::COPROCESSOR)),
            debug_exit_at: None,
            mapped: 0,
            frame_buffer: None,
            power_request: None,
            deadline: GuestTime::ZERO,
            signals: Signals::default(),
            write_only: Vec::new(),
            unclaimed: 0,
            attached: Attached::default(),
            hooks: Hooks::default(),
        };
        board.remap();
        board
    }

    /// Makes ports and memory follow the PCI configuration.
    pub(crate) fn remap(&mut self) {
        self.mapped = self.pci.generation();
        let shadow = self
            .pci
            .shadow_regions()
            .map(|r| Shadow { read_ram: r.is_read_from_ram, write_ram: r.is_written_to_ram });
        let mut changed = self.memory.set_shadow(shadow);
        let frame_buffer = self.pci.function(DISPLAY).and_then(|f| f.bar(0)).map(|m| u64::from(m.base));
        changed |= self.frame_buffer != frame_buffer;
        self.frame_buffer = frame_buffer;
        self.ports.remove(PortDevice::Ide);
        for (channel, ports) in
            [(ChannelId::Primary, Ide::PRIMARY_PORTS), (ChannelId::Secondary, Ide::SECONDARY_PORTS)]
        {
            if self.pci.is_ide_channel_enabled(channel) {
                self.ports.put(PortDevice::Ide, ports);
            }
        }
        if let Some(base) = self.pci.ide_bus_master_base() {
            self.ports.put(PortDevice::Ide, &[Ide::bus_master_ports(base)]);
        }
        self.ports.remove(PortDevice::Power);
        self.ports.put(PortDevice::Power, PowerManagement::PORTS);
        if let Some(base) = self.pci.power_management_base() {
            self.ports.put(PortDevice::Power, &[PowerManagement::power_management_ports(base)]);
        }
        if let Some(base) = self.pci.smbus_base() {
            self.ports.put(PortDevice::Power, &[PowerManagement::smbus_ports(base)]);
        }
        self.map_attached();
        self.signals.remapped |= changed;
    }

    /// Puts the debug-exit port at `port`.
    pub fn enable_debug_exit(&mut self, port: u16) {
        self.debug_exit_at = Some(port);
        self.ports.remove(PortDevice::DebugExit);
        let first = DebugExit::PORTS[0];
        let count = first.count.min((u16::MAX - port).saturating_add(1));
        self.ports.put(PortDevice::DebugExit, &[PortRange::new(port, count, first.offset)]);
    }

    /// The device behind a port.
    pub(crate) fn port_device(&mut self, device: PortDevice) -> Option<&mut dyn PortIo> {
        let [com1, com2, com3, com4] = &mut self.com;
        Some(match device {
            PortDevice::Pic => &mut self.pic,
            PortDevice::Pit => &mut self.pit,
            PortDevice::Rtc => &mut self.rtc,
            PortDevice::Ps2 => &mut self.ps2,
            PortDevice::Dma => &mut self.dma,
            PortDevice::PostCode => &mut self.post_code,
            PortDevice::Com1 => com1,
            PortDevice::Com2 => com2,
            PortDevice::Com3 => com3,
            PortDevice::Com4 => com4,
            PortDevice::Ide => &mut self.ide,
            PortDevice::Floppy => &mut self.floppy,
            PortDevice::Vga => &mut self.vga,
            PortDevice::Port92 => &mut self.port92,
            PortDevice::DebugConsole => &mut self.debug_console,
            PortDevice::DebugExit => &mut self.debug_exit,
            PortDevice::FwCfg => &mut self.fw_cfg,
            PortDevice::Pci => &mut self.pci,
            PortDevice::Power => &mut self.power,
            PortDevice::Coprocessor => &mut self.coprocessor,
            PortDevice::Attached => &mut self.attached,
            PortDevice::None | PortDevice::FirmwareTrap => return None,
        })
    }

    /// All devices that act by themselves.
    fn timed(&mut self) -> [&mut dyn Timed; 13] {
        let [com1, com2, com3, com4] = &mut self.com;
        [
            &mut self.pit,
            &mut self.rtc,
            &mut self.ps2,
            com1,
            com2,
            com3,
            com4,
            &mut self.ide,
            &mut self.floppy,
            &mut self.vga,
            &mut self.power,
            &mut self.lapic,
            &mut self.attached,
        ]
    }

    /// All devices, for RESET.
    fn resettable(&mut self) -> [&mut dyn Reset; 23] {
        let [com1, com2, com3, com4] = &mut self.com;
        [
            &mut self.pic,
            &mut self.pit,
            &mut self.rtc,
            &mut self.ps2,
            &mut self.dma,
            &mut self.post_code,
            com1,
            com2,
            com3,
            com4,
            &mut self.ide,
            &mut self.vga,
            &mut self.port92,
            &mut self.debug_console,
            &mut self.debug_exit,
            &mut self.fw_cfg,
            &mut self.pci,
            &mut self.floppy,
            &mut self.power,
            &mut self.lapic,
            &mut self.ioapic,
            &mut self.coprocessor,
            &mut self.attached,
        ]
    }

    /// RESET of everything but the processor.
    pub fn reset(&mut self) {
        for device in self.resettable() {
            device.reset();
        }
        self.write_only.clear();
        self.power_request = None;
        self.deadline = GuestTime::ZERO;
        self.signals = Signals { remapped: true, ..Signals::default() };
        self.remap();
    }

    /// Guest time when `work` was retired.
    pub fn now(&self, work: Work) -> GuestTime {
        self.clock.time(work)
    }

    /// Brings every device up to `now` and finds out when the next one will act.
    pub fn advance(&mut self, now: GuestTime) {
        let mut next = GuestTime::MAX;
        for device in self.timed() {
            if device.next_event().is_some_and(|at| at <= now) {
                device.advance(now);
            }
            if let Some(at) = device.next_event() {
                next = next.min(at);
            }
        }
        self.deadline = next;
    }

    /// `device` was accessed: if it now wants to act earlier than anyone did, or wants the run loop to look at it,
    /// the run is cut short.
    pub(crate) fn note_deadline(&mut self, device: PortDevice) {
        let [com1, com2, com3, com4] = &self.com;
        let timed: &dyn Timed = match device {
            PortDevice::Pit => &self.pit,
            PortDevice::Rtc => &self.rtc,
            PortDevice::Ps2 => &self.ps2,
            PortDevice::Com1 | PortDevice::Com2 | PortDevice::Com3 | PortDevice::Com4 => {
                let com = match device {
                    PortDevice::Com1 => com1,
                    PortDevice::Com2 => com2,
                    PortDevice::Com3 => com3,
                    _ => com4,
                };
                // Taken before the transmitter would have to wait, which the guest would see.
                let most = if self.hooks.exact_output { 1 } else { OUTPUT_CAPACITY / 2 };
                self.signals.pause |= com.output_len() >= most;
                com
            }
            PortDevice::Ide => {
                self.signals.pause |= self.ide.wants_bus_master();
                &self.ide
            }
            PortDevice::Floppy => {
                self.signals.pause |= self.floppy.dma_request();
                &self.floppy
            }
            PortDevice::Vga => &self.vga,
            PortDevice::Power => {
                if let Some(request) = self.power.take_request() {
                    self.power_request = Some(request);
                    self.signals.pause = true;
                }
                &self.power
            }
            PortDevice::Attached => {
                self.signals.pause |= self.attached.wants_bus();
                &self.attached
            }
            PortDevice::DebugExit => {
                self.signals.pause = true;
                return;
            }
            PortDevice::FwCfg => {
                self.signals.pause |= self.fw_cfg.dma_pending();
                return;
            }
            PortDevice::Pci => {
                if self.pci.generation() != self.mapped {
                    self.remap();
                }
                match self.pci.take_reset_request() {
                    Some(ResetRequest::System) => self.signals.system_reset = true,
                    Some(ResetRequest::Processor) => self.signals.reset = true,
                    None => {}
                }
                return;
            }
            PortDevice::None
            | PortDevice::Pic
            | PortDevice::Dma
            | PortDevice::PostCode
            | PortDevice::Port92
            | PortDevice::DebugConsole
            | PortDevice::Coprocessor
            | PortDevice::FirmwareTrap => return,
        };
        if timed.next_event().is_some_and(|at| at < self.deadline) {
            self.signals.pause = true;
        }
    }

    /// Takes interrupt requests from the devices to the processor's pins, and says whether INTR is asserted.
    pub(crate) fn sync_interrupts(&mut self) -> bool {
        self.pci.sync_interrupts();
        let pic = self.pic.interrupt_output();
        self.lapic.set_lint0(pic);
        self.ioapic.set_pic_output(pic);
        while let Some(vector) = self.lapic.take_end_of_interrupt() {
            self.ioapic.end_of_interrupt(vector);
        }
        let Board { lapic, ioapic, signals, .. } = self;
        ioapic.deliver(|message| lapic.receive(message));
        while let Some(event) = lapic.take_event() {
            match event {
                ProcessorEvent::Nmi => signals.nmi = true,
                ProcessorEvent::Init => {
                    lapic.init();
                    signals.reset = true;
                }
                // The only processor never waits for a start-up message, and has no system management mode.
                ProcessorEvent::StartUp(_) | ProcessorEvent::Smi => {}
            }
        }
        lapic.interrupt_output()
    }

    /// Serves what masters the bus.
    pub fn run_dma(&mut self, memory: &mut dyn DmaMemory, now: GuestTime) {
        while self.fw_cfg.dma_pending() {
            self.fw_cfg.run_dma(memory);
        }
        let may_master = self.pci.function(FunctionId::IDE).is_some_and(|f| f.is_bus_master());
        if may_master && self.ide.wants_bus_master() {
            self.ide.run_bus_master(memory, now);
        }
        if self.floppy.dma_request() {
            self.dma.service(Floppy::DMA_CHANNEL, &mut self.floppy, memory, now);
        }
        self.attached.master_bus(memory, now);
        if self.dma.memory_to_memory_requested() {
            self.dma.copy_memory_to_memory(memory);
        }
    }

    /// What stands behind a page of physical memory.
    pub fn page(&self, page: u64) -> PageKind {
        self.memory.page(page)
    }
}
