//! Devices of the embedding program's own: on ports, in memory space, or on PCI.

use crate::board::Board;
use crate::machine::Machine;
use crate::ports::PortDevice;
use idem86_cpu::bus::PageKind;
use idem86_devices::access::{AccessSize, DmaMemory, IoError, PortIo};
use idem86_devices::irq::IrqLine;
use idem86_devices::pci::{Bar, FunctionId, PciFunction, PciIdentity, Pin, Space};
use idem86_devices::reset::Reset;
use idem86_devices::state::{RestoreError, Snapshot};
use idem86_devices::time::{GuestTime, Timed};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A device that an embedding program adds to a machine; see [`Machine::attach`].
///
/// Its registers lie in regions, which its [`Attachment`] numbers: in the order in which they were given, on PCI by
/// base address register. Everything happens in guest time. Unless a method is implemented, registers read as ones,
/// writes go nowhere, and nothing happens by itself.
///
/// A device whose state is not empty implements [`Device::save`] and [`Device::restore`]; snapshots and forks of the
/// machine are wrong without. Snapshots on disk hold the state with the device's name and version, but not the device,
/// which is code: [`crate::snapshot::Snapshot::spawn_with`] attaches the same ones again.
pub trait Device: Send {
    /// The guest reads from `offset` in `region`.
    fn read(&mut self, _region: usize, _offset: u64, size: AccessSize, _now: GuestTime) -> u32 {
        size.ones()
    }

    /// The guest writes `value` (its low `size` bytes) at `offset` in `region`.
    fn write(&mut self, _region: usize, _offset: u64, _size: AccessSize, _value: u32, _now: GuestTime) {}

    /// When the device next acts by itself.
    fn next_event(&self) -> Option<GuestTime> {
        None
    }

    /// Time is `now`: does what was due by then. Afterwards [`Device::next_event`] is later.
    fn advance(&mut self, _now: GuestTime) {}

    /// Whether the device wants to access memory. Asked after each access to it and when its time has come.
    fn wants_bus(&self) -> bool {
        false
    }

    /// The device's turn on the bus. Afterwards it wants it no more.
    fn master_bus(&mut self, _memory: &mut dyn DmaMemory, _now: GuestTime) {}

    /// The RESET input.
    fn reset(&mut self) {}

    /// Everything that the device is, but for the level of its interrupt line.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The version of what [`Device::save`] gives, to be raised when that changes.
    fn version(&self) -> u32 {
        0
    }

    /// Becomes what a device of version `version` has saved; see [`Device::restore`]. Unless this is implemented, only
    /// what has the device's own version is taken.
    fn restore_version(&mut self, version: u32, saved: &[u8]) -> Result<(), String> {
        match self.version() {
            own if own == version => self.restore(saved),
            own => Err(format!("saved in version {version}, the device has version {own}")),
        }
    }

    /// Becomes what was saved, or refuses with a reason and stays as it is. What was saved may come from anywhere. The
    /// interrupt line is left alone; it is restored with all others.
    fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
        if saved.is_empty() { Ok(()) } else { Err("a device without state".into()) }
    }
}

/// Where a device goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    name: String,
    regions: Vec<Region>,
    irq: Option<u8>,
    pci: Option<(PciIdentity, bool)>,
    bars: Vec<(usize, Bar)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    Ports { first: u16, last: u16 },
    Memory { base: u64, size: u64 },
}

impl Attachment {
    /// A device at fixed ports and addresses. Names are for saved states: a machine takes back what a device of the
    /// same name has saved.
    pub fn fixed(name: impl Into<String>) -> Self {
        Attachment { name: name.into(), regions: Vec::new(), irq: None, pci: None, bars: Vec::new() }
    }

    /// A device on PCI bus 0, whose base address registers the guest sets; its command register begins at zero.
    pub fn pci(name: impl Into<String>, identity: PciIdentity) -> Self {
        Attachment { pci: Some((identity, false)), ..Attachment::fixed(name) }
    }

    /// The next region: these ports.
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.regions.push(Region::Ports { first: *ports.start(), last: *ports.end() });
        self
    }

    /// The next region: `size` bytes of memory space from physical address `base` on, where nothing else is: above RAM.
    pub fn memory(mut self, base: u64, size: u64) -> Self {
        self.regions.push(Region::Memory { base, size });
        self
    }

    /// A device at fixed places interrupts by this line: 5, 7, 9, 10 or 11, level-triggered and perhaps shared with
    /// PCI.
    pub fn irq(self, line: u8) -> Self {
        Attachment { irq: Some(line), ..self }
    }

    /// Region `number`, 0 to 5: base address register `number`.
    pub fn bar(mut self, number: usize, bar: Bar) -> Self {
        self.bars.push((number, bar));
        self
    }

    /// A device on PCI interrupts by INTA#.
    pub fn interrupt(mut self) -> Self {
        if let Some((_, interrupts)) = &mut self.pci {
            *interrupts = true;
        }
        self
    }
}

/// Why a device cannot be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Another device has a port.
    #[error("{name}: port {port:#x} is taken")]
    PortTaken {
        /// The new device.
        name: String,
        /// The port.
        port: u16,
    },
    /// There is something else in memory space, or nothing can be.
    #[error("{name}: there is no room at address {base:#x}")]
    NoRoom {
        /// The new device.
        name: String,
        /// Where it was to begin.
        base: u64,
    },
    /// The line belongs to a device of the board.
    #[error("{name}: a device cannot have IRQ {irq}, only 5, 7, 9, 10 or 11")]
    Irq {
        /// The new device.
        name: String,
        /// The line.
        irq: u8,
    },
    /// Sizes of base address registers are powers of two, ports 4 to 256, memory at least 16 bytes.
    #[error("{name}: base address register {number} cannot be this")]
    Bar {
        /// The new device.
        name: String,
        /// The register.
        number: usize,
    },
    /// Sixteen devices are there already.
    #[error("{name}: the board has no place left")]
    Full {
        /// The new device.
        name: String,
    },
    /// Another device has this name.
    #[error("there is a device called {name} already")]
    Name {
        /// The name.
        name: String,
    },
}

/// The most devices that can be attached.
const MOST: usize = 16;
/// Devices on PCI come behind those of the board.
const FIRST_PCI: u8 = 8;
/// Lines that no device of the board drives.
const FREE_IRQS: [u8; 5] = [5, 7, 9, 10, 11];

/// Makes a device that drives an interrupt line: once for the machine, and once for each fork of it.
type Make = Arc<dyn Fn(IrqLine) -> Box<dyn Device> + Send + Sync>;

/// What a device has saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedDevice {
    name: String,
    version: u32,
    state: Vec<u8>,
}

/// Where devices are, and how they are made.
#[derive(Clone, Default)]
pub(crate) struct DevicePlan(Vec<(Attachment, Make)>);

impl fmt::Debug for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(attachment, _)| attachment)).finish()
    }
}

/// A device in its place.
struct Member {
    attachment: Attachment,
    /// Where it is on PCI.
    function: Option<FunctionId>,
    /// Where its regions are now: number and place.
    mapped: Vec<(usize, Region)>,
    make: Make,
    device: Box<dyn Device>,
}

/// All devices of the embedding program.
#[derive(Default)]
pub(crate) struct Attached(Vec<Member>);

impl Attached {
    /// The device with this port, its region and the offset there.
    fn at_port(&mut self, port: u16) -> Option<(&mut dyn Device, usize, u64)> {
        self.find(|region| match region {
            Region::Ports { first, last } if (*first..=*last).contains(&port) => {
                Some(u64::from(port - first))
            }
            _ => None,
        })
    }

    /// The device with this physical address, likewise.
    pub fn at_address(&mut self, address: u64) -> Option<(&mut dyn Device, usize, u64)> {
        self.find(|region| match region {
            Region::Memory { base, size } => address.checked_sub(*base).filter(|offset| offset < size),
            Region::Ports { .. } => None,
        })
    }

    fn find(&mut self, place: impl Fn(&Region) -> Option<u64>) -> Option<(&mut dyn Device, usize, u64)> {
        self.0.iter_mut().find_map(|member| {
            let (number, offset) = member.mapped.iter().find_map(|(n, r)| Some((*n, place(r)?)))?;
            Some((&mut *member.device as &mut dyn Device, number, offset))
        })
    }

    /// Whether a device wants to access memory.
    pub fn wants_bus(&self) -> bool {
        self.0.iter().any(|member| member.device.wants_bus())
    }

    /// Lets the devices access memory that want to.
    pub fn master_bus(&mut self, memory: &mut dyn DmaMemory, now: GuestTime) {
        for member in self.0.iter_mut().filter(|member| member.device.wants_bus()) {
            member.device.master_bus(memory, now);
        }
    }

    /// What is needed to attach the same devices to another machine.
    pub fn plan(&self) -> DevicePlan {
        DevicePlan(self.0.iter().map(|member| (member.attachment.clone(), member.make.clone())).collect())
    }
}

impl PortIo for Attached {
    fn read_port(&mut self, port: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        let (device, region, offset) = self.at_port(port).ok_or(IoError::NoSuchRegister)?;
        Ok(device.read(region, offset, size, now) & size.ones())
    }

    fn write_port(&mut self, port: u16, size: AccessSize, value: u32, now: GuestTime) -> Result<(), IoError> {
        let (device, region, offset) = self.at_port(port).ok_or(IoError::NoSuchRegister)?;
        device.write(region, offset, size, value & size.ones(), now);
        Ok(())
    }
}

impl Timed for Attached {
    fn next_event(&self) -> Option<GuestTime> {
        self.0.iter().filter_map(|member| member.device.next_event()).min()
    }

    fn advance(&mut self, now: GuestTime) {
        for member in &mut self.0 {
            if member.device.next_event().is_some_and(|at| at <= now) {
                member.device.advance(now);
            }
        }
    }
}

impl Reset for Attached {
    fn reset(&mut self) {
        self.0.iter_mut().for_each(|member| member.device.reset());
    }
}

impl Snapshot for Attached {
    type State = Vec<SavedDevice>;

    fn save(&self) -> Self::State {
        let saved = |member: &Member| SavedDevice {
            name: member.attachment.name.clone(),
            version: member.device.version(),
            state: member.device.save(),
        };
        self.0.iter().map(saved).collect()
    }

    fn restore(&mut self, state: Self::State) -> Result<(), RestoreError> {
        let saved: Vec<&str> = state.iter().map(|device| device.name.as_str()).collect();
        let present: Vec<&str> = self.0.iter().map(|member| member.attachment.name.as_str()).collect();
        if saved != present {
            let what = format!("{saved:?} were saved, {present:?} are attached");
            return Err(RestoreError::new("attached devices", what));
        }
        for (member, SavedDevice { name, version, state }) in self.0.iter_mut().zip(state) {
            let refused = |what| RestoreError::new("attached devices", format!("{name}: {what}"));
            member.device.restore_version(version, &state).map_err(refused)?;
        }
        Ok(())
    }
}

impl Board {
    /// Puts a device in its place.
    fn attach(&mut self, attachment: Attachment, make: Make) -> Result<(), AttachError> {
        self.check(&attachment)?;
        let count = self.attached.0.len() as u8;
        let function = attachment.pci.map(|(identity, interrupts)| {
            let mut function = PciFunction::new(identity).with_command(0, 0x0007);
            if interrupts {
                function = function.with_interrupt_pin(Pin::A);
            }
            let bars = attachment.bars.iter();
            let function = bars.fold(function, |function, (number, bar)| function.with_bar(*number, *bar));
            let id = FunctionId { device: FIRST_PCI + count, function: 0 };
            self.pci.add(id, function).expect("as many places as devices");
            id
        });
        let line = match (function, attachment.irq) {
            (Some(id), _) if attachment.pci.is_some_and(|(_, interrupts)| interrupts) => {
                self.pci.connect_pin(id, Pin::A)
            }
            (None, Some(irq)) => self.pci.connect_irq(irq),
            _ => IrqLine::unconnected(),
        };
        let device = make(line);
        self.attached.0.push(Member { attachment, function, mapped: Vec::new(), make, device });
        self.remap();
        self.deadline = GuestTime::ZERO;
        Ok(())
    }

    fn check(&self, attachment: &Attachment) -> Result<(), AttachError> {
        let name = attachment.name.clone();
        if self.attached.0.len() == MOST {
            return Err(AttachError::Full { name });
        }
        if self.attached.0.iter().any(|member| member.attachment.name == name) {
            return Err(AttachError::Name { name });
        }
        if let Some(irq) = attachment.irq.filter(|irq| !FREE_IRQS.contains(irq)) {
            return Err(AttachError::Irq { name, irq });
        }
        for region in &attachment.regions {
            match *region {
                Region::Ports { first, last } => {
                    let taken = (first..=last).find(|port| self.ports.at(*port).0 != PortDevice::None);
                    if let Some(port) = taken {
                        return Err(AttachError::PortTaken { name, port });
                    }
                }
                Region::Memory { base, size } => {
                    let last = base.checked_add(size).filter(|end| *end <= 1 << 32 && size > 0);
                    let free = last.is_some_and(|end| {
                        let mut pages = (base & !0xFFF..end).step_by(4096);
                        // Whoever has these pages on the board is asked first.
                        base >= self.memory.ram().max(1 << 20)
                            && !(0xFEC0_0000..0xFEF0_0000).contains(&base)
                            && pages.all(|page| self.memory.page(page) == PageKind::Device)
                    });
                    if !free {
                        return Err(AttachError::NoRoom { name, base });
                    }
                }
            }
        }
        for (number, bar) in &attachment.bars {
            let fits = match *bar {
                Bar::Io { size } => size.is_power_of_two() && (4..=256).contains(&size),
                Bar::Memory { size, .. } => size.is_power_of_two() && (16..=1 << 30).contains(&size),
            };
            let again = attachment.bars.iter().filter(|(other, _)| other == number).count() > 1;
            if !fits || again || *number > 5 || attachment.pci.is_none() {
                return Err(AttachError::Bar { name, number: *number });
            }
        }
        Ok(())
    }

    /// Finds out where the regions are. A device of the board keeps its ports if the guest puts others on top.
    pub(crate) fn map_attached(&mut self) {
        self.ports.remove(PortDevice::Attached);
        for member in &mut self.attached.0 {
            member.mapped = member.attachment.regions.iter().copied().enumerate().collect();
            let function = member.function.and_then(|id| self.pci.function(id));
            for mapping in function.into_iter().flat_map(|function| function.mappings()) {
                let region = match mapping.space {
                    Space::Io => {
                        let first = mapping.base as u16;
                        Region::Ports { first, last: first.saturating_add((mapping.size - 1) as u16) }
                    }
                    Space::Memory => Region::Memory { base: mapping.base.into(), size: mapping.size.into() },
                };
                member.mapped.push((mapping.bar, region));
            }
            for (_, region) in &member.mapped {
                if let Region::Ports { first, last } = *region {
                    self.ports.put_where_free(PortDevice::Attached, first..=last);
                }
            }
        }
    }
}

impl Machine {
    /// Adds a device. `make` builds it around its interrupt line, which drives nothing if the attachment has none; it
    /// is called again for each fork of the machine, whose device is then restored from what this one saves.
    ///
    /// Devices on PCI are to be attached before the guest has run, since its firmware looks for them once.
    ///
    /// ```
    /// use idem86_machine::attached::{Attachment, Device};
    /// use idem86_machine::machine::Machine;
    /// use idem86_devices::{access::AccessSize, time::GuestTime};
    ///
    /// /// Reads as the number of reads before.
    /// #[derive(Default)]
    /// struct Counter(u32);
    ///
    /// impl Device for Counter {
    ///     fn read(&mut self, _: usize, _: u64, _: AccessSize, _: GuestTime) -> u32 {
    ///         self.0 = self.0.wrapping_add(1);
    ///         self.0 - 1
    ///     }
    ///     fn save(&self) -> Vec<u8> {
    ///         self.0.to_le_bytes().into()
    ///     }
    ///     fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
    ///         self.0 = u32::from_le_bytes(saved.try_into().map_err(|_| "not four bytes")?);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut machine = Machine::builder().build()?;
    /// machine.attach(Attachment::fixed("counter").ports(0x300..=0x303), |_| Counter::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach<D: Device + 'static>(
        &mut self,
        attachment: Attachment,
        make: impl Fn(IrqLine) -> D + Send + Sync + 'static,
    ) -> Result<(), AttachError> {
        self.board.attach(attachment, Arc::new(move |line| Box::new(make(line))))
    }

    /// Attaches what was attached to the machine that `plan` is of.
    pub(crate) fn attach_all(&mut self, plan: &DevicePlan) -> Result<(), AttachError> {
        let DevicePlan(devices) = plan;
        devices.iter().try_for_each(|(attachment, make)| self.board.attach(attachment.clone(), make.clone()))
    }
}
