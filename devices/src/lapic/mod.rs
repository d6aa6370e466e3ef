//! Local APIC in xAPIC mode, for one processor. SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)".
//!
//! The machine is the wiring:
//!
//! - it maps the register page where [`Lapic::base_address`] says;
//! - the 8259A's INT output goes to [`Lapic::set_lint0`], NMI sources to [`Lapic::set_lint1`], messages of the
//!   I/O APIC to [`Lapic::receive`];
//! - while [`Lapic::interrupt_output`] is true the processor, when it may be interrupted, calls
//!   [`Lapic::acknowledge`] and, told so, lets the 8259A give the vector;
//! - after each register access [`Lapic::take_event`] and [`Lapic::take_end_of_interrupt`] say what else goes
//!   to the processor and to the I/O APIC.
//!
//! Disabled in IA32_APIC_BASE, the pins are the processor's INTR and NMI, as on a processor without APIC. With
//! one processor, a message it sends reaches itself or nobody, lowest priority is its own, and there is no
//! arbitration.

mod spec;
mod state;
mod timer;
mod vectors;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, IoError, Mmio};
use crate::apic::{DeliveryMode, Destination, InterruptMessage};
use crate::reset::Reset;
use crate::time::{Frequency, GuestTime, Timed};
use spec::{FIRST_LEGAL_VECTOR, VERSION, base, command, error, lvt, offset, spurious};
use timer::Timer;

pub use state::LapicState;

/// Where the vector of an acknowledged interrupt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// From the local APIC.
    Vector(u8),
    /// From the 8259A: the machine acknowledges there.
    External,
}

/// What reaches the processor past its interrupt flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorEvent {
    /// INIT. The machine also calls [`Lapic::init`].
    Init,
    /// Start-up in the page with this number, for a processor that waits for it.
    StartUp(u8),
    /// System management interrupt.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
}

/// The local APIC of one processor.
#[derive(Debug)]
pub struct Lapic {
    /// The timer's clock.
    bus: Frequency,
    initial_id: u8,
    state: LapicState,
}

impl Lapic {
    /// The local APIC of the bootstrap processor after power-on, with the APIC ID `id` and a timer that counts
    /// `bus`.
    pub fn new(id: u8, bus: Frequency) -> Self {
        Lapic { bus, initial_id: id, state: LapicState::power_on(id) }
    }

    /// IA32_APIC_BASE.
    pub fn apic_base(&self) -> u64 {
        self.state.base
    }

    /// Writes IA32_APIC_BASE, whose reserved bits the processor has checked. "Enabling or Disabling the Local
    /// APIC": disabling loses all state.
    pub fn set_apic_base(&mut self, value: u64) {
        let was_enabled = self.is_enabled();
        self.state.base = value & (base::ADDRESS | base::ENABLED | base::BOOTSTRAP);
        if was_enabled && !self.is_enabled() {
            self.init();
        }
    }

    /// The physical address of the register page, unless the APIC is disabled in IA32_APIC_BASE.
    pub fn base_address(&self) -> Option<u64> {
        self.is_enabled().then_some(self.state.base & base::ADDRESS)
    }

    /// "Local APIC State After It Receives an INIT Reset": as after power-on, but the ID stays.
    pub fn init(&mut self) {
        let LapicState { id, base, pins, ref timer, .. } = self.state;
        let timer = Timer { clock: timer.clock, ..Timer::default() };
        self.state = LapicState { base, pins, timer, ..LapicState::power_on(id) };
    }

    fn is_enabled(&self) -> bool {
        self.state.base & base::ENABLED != 0
    }

    /// Enabled in the spurious vector register too.
    fn is_software_enabled(&self) -> bool {
        self.is_enabled() && self.state.spurious & spurious::ENABLED != 0
    }

    /// Drives pin LINT0, where the board connects the 8259A's INT output.
    pub fn set_lint0(&mut self, asserted: bool) {
        self.set_pin(0, asserted);
    }

    /// Drives pin LINT1, where the board connects NMI.
    pub fn set_lint1(&mut self, asserted: bool) {
        self.set_pin(1, asserted);
    }

    /// Pins carry assertion, so the polarity bit of their local vectors has no effect.
    fn set_pin(&mut self, pin: usize, asserted: bool) {
        let rises = asserted && !self.state.pins[pin];
        self.state.pins[pin] = asserted;
        if !self.is_enabled() {
            self.state.nmi |= pin == 1 && rises;
            return;
        }
        let entry = self.state.lvt[lvt::LINT0 + pin];
        if entry & lvt::MASKED != 0 {
            return;
        }
        match DeliveryMode::from_bits(entry >> 8) {
            Some(DeliveryMode::Fixed) if entry & lvt::LEVEL_TRIGGERED != 0 => self.look_at_level_pin(pin),
            Some(DeliveryMode::Fixed) if rises => self.accept(entry as u8, false),
            Some(DeliveryMode::Nmi) => self.state.nmi |= rises,
            Some(DeliveryMode::Smi) => self.state.smi |= rises,
            Some(DeliveryMode::Init) => self.state.init |= rises,
            // ExtINT is a level, which `external_interrupt` looks at.
            _ => {}
        }
    }

    /// A level triggered pin interrupts while asserted, once until the end of each interrupt.
    fn look_at_level_pin(&mut self, pin: usize) {
        let entry = &mut self.state.lvt[lvt::LINT0 + pin];
        let interrupts = DeliveryMode::from_bits(*entry >> 8) == Some(DeliveryMode::Fixed)
            && *entry & (lvt::MASKED | lvt::LEVEL_TRIGGERED | lvt::REMOTE_IRR) == lvt::LEVEL_TRIGGERED;
        if interrupts && self.state.pins[pin] {
            *entry |= lvt::REMOTE_IRR;
            let vector = *entry as u8;
            self.accept(vector, true);
        }
    }

    /// Takes a message; false if it is not for this APIC or is not accepted, and the sender may try again.
    pub fn receive(&mut self, message: InterruptMessage) -> bool {
        if !self.is_enabled() || !self.is_addressed(message.destination) {
            return false;
        }
        match message.delivery {
            // "Local APIC State After It Has Been Software Disabled": only these four are accepted then.
            DeliveryMode::Nmi => self.state.nmi = true,
            DeliveryMode::Smi => self.state.smi = true,
            DeliveryMode::Init => self.state.init = true,
            DeliveryMode::StartUp => self.state.start_up = Some(message.vector),
            _ if !self.is_software_enabled() => return false,
            DeliveryMode::ExtInt => self.state.external = true,
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => {
                self.accept(message.vector, message.level_triggered);
            }
        }
        true
    }

    /// "Determining IPI Destination".
    fn is_addressed(&self, destination: Destination) -> bool {
        match destination {
            Destination::Physical(id) => id == self.state.id || id == 0xFF,
            Destination::Logical(0xFF) => true,
            Destination::Logical(address) => match self.state.destination_format {
                0xF => address & self.state.logical_id != 0,
                0x0 => {
                    let same_cluster = (address ^ self.state.logical_id) & 0xF0 == 0;
                    same_cluster && address & self.state.logical_id & 0x0F != 0
                }
                _ => false,
            },
        }
    }

    /// Enters an interrupt into the request register.
    fn accept(&mut self, vector: u8, level_triggered: bool) {
        if vector < FIRST_LEGAL_VECTOR {
            return self.report(error::RECEIVE_ILLEGAL_VECTOR);
        }
        self.state.request.insert(vector);
        if level_triggered {
            self.state.trigger_mode.insert(vector);
        } else {
            self.state.trigger_mode.remove(vector);
        }
    }

    /// Notes an error and interrupts with the error vector; an illegal error vector is an error only noted.
    fn report(&mut self, error: u8) {
        self.state.errors |= error;
        let entry = self.state.lvt[lvt::ERROR];
        match (entry & lvt::MASKED, entry as u8) {
            (0, vector @ FIRST_LEGAL_VECTOR..) => self.accept(vector, false),
            (0, _) => self.state.errors |= error::RECEIVE_ILLEGAL_VECTOR,
            _ => {}
        }
    }

    /// "Task and Processor Priorities".
    fn processor_priority(&self) -> u8 {
        let in_service = self.state.in_service.highest().unwrap_or(0);
        let task = self.state.task_priority;
        if task >> 4 >= in_service >> 4 { task } else { in_service & 0xF0 }
    }

    /// The requested vector whose priority class is above the processor's.
    fn deliverable(&self) -> Option<u8> {
        let vector = self.state.request.highest()?;
        (self.is_software_enabled() && vector >> 4 > self.processor_priority() >> 4).then_some(vector)
    }

    /// Whether the 8259A asks for an acknowledge cycle, by pin or by message.
    fn external_interrupt(&self) -> bool {
        // A BIOS that knows of no APIC leaves it disabled by software, with LINT0 masked, and that of Bochs enables it
        // and never looks at LINT0; their 8259A must work nevertheless, as on boards that connect INT to the processor
        // past such an APIC.
        if !self.is_software_enabled() || !self.state.lint0_written {
            return self.state.pins[0] || self.is_software_enabled() && self.state.external;
        }
        let by_pin = [0, 1].into_iter().any(|pin| {
            let entry = self.state.lvt[lvt::LINT0 + pin];
            let external = DeliveryMode::from_bits(entry >> 8) == Some(DeliveryMode::ExtInt);
            self.state.pins[pin] && external && entry & lvt::MASKED == 0
        });
        by_pin || self.state.external
    }

    /// Whether the processor is to be interrupted.
    pub fn interrupt_output(&self) -> bool {
        self.deliverable().is_some() || self.external_interrupt()
    }

    /// The processor takes the interrupt. If there is none any more, the vector is the spurious one, and
    /// nothing enters service.
    pub fn acknowledge(&mut self) -> Acknowledged {
        if let Some(vector) = self.deliverable() {
            self.state.request.remove(vector);
            self.state.in_service.insert(vector);
            return Acknowledged::Vector(vector);
        }
        if self.external_interrupt() || !self.is_enabled() {
            self.state.external = false;
            return Acknowledged::External;
        }
        Acknowledged::Vector(self.state.spurious as u8)
    }

    /// The next event for the processor, in the order of precedence of SDM Vol. 3A, "Priority Among
    /// Concurrent Events".
    pub fn take_event(&mut self) -> Option<ProcessorEvent> {
        let state = &mut self.state;
        if std::mem::take(&mut state.smi) {
            return Some(ProcessorEvent::Smi);
        }
        if std::mem::take(&mut state.init) {
            return Some(ProcessorEvent::Init);
        }
        if let Some(page) = state.start_up.take() {
            return Some(ProcessorEvent::StartUp(page));
        }
        std::mem::take(&mut state.nmi).then_some(ProcessorEvent::Nmi)
    }

    /// The vector of a level triggered interrupt that has ended, for the I/O APIC; called until `None`.
    pub fn take_end_of_interrupt(&mut self) -> Option<u8> {
        let vector = self.state.ended.highest()?;
        self.state.ended.remove(vector);
        Some(vector)
    }

    /// "Signaling Interrupt Servicing Completion".
    fn end_of_interrupt(&mut self) {
        let Some(vector) = self.state.in_service.highest() else { return };
        self.state.in_service.remove(vector);
        if !self.state.trigger_mode.contains(vector) {
            return;
        }
        self.state.ended.insert(vector);
        for pin in 0..2 {
            let entry = &mut self.state.lvt[lvt::LINT0 + pin];
            if *entry as u8 == vector {
                *entry &= !lvt::REMOTE_IRR;
                self.look_at_level_pin(pin);
            }
        }
    }

    /// "Interrupt Command Register (ICR)", with the combinations valid since the Pentium 4: shorthands that
    /// include the sender work for fixed interrupts only, and all trigger modes are edge.
    fn send(&mut self) {
        let low = self.state.command_low;
        let (vector, to) = (low as u8, (self.state.command_high >> 24) as u8);
        let Some(delivery) = DeliveryMode::from_bits(low >> 8) else { return };
        let fixed = matches!(delivery, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if fixed && vector < FIRST_LEGAL_VECTOR {
            return self.report(error::SEND_ILLEGAL_VECTOR);
        }
        let deassert = low & (command::LEVEL_TRIGGERED | command::ASSERT) == command::LEVEL_TRIGGERED;
        if delivery == DeliveryMode::ExtInt || (delivery == DeliveryMode::Init && deassert) {
            return;
        }
        let destination = match low >> 18 & 3 {
            0 if low & command::LOGICAL != 0 => Destination::Logical(to),
            0 => Destination::Physical(to),
            1 | 2 if delivery == DeliveryMode::Fixed => Destination::Physical(self.state.id),
            _ => return,
        };
        self.receive(InterruptMessage { destination, delivery, vector, level_triggered: false });
    }

    fn write_spurious(&mut self, value: u32) {
        self.state.spurious = value & spurious::WRITABLE;
        if !self.is_software_enabled() {
            self.state.lvt.iter_mut().for_each(|entry| *entry |= lvt::MASKED);
        }
    }

    fn write_lvt(&mut self, index: usize, value: u32) {
        let read_only = self.state.lvt[index] & lvt::REMOTE_IRR;
        let forced = if self.is_software_enabled() { 0 } else { lvt::MASKED };
        self.state.lvt[index] = value & lvt::WRITABLE[index] | read_only | forced;
        self.state.lint0_written |= index == lvt::LINT0;
        if let Some(pin @ 0..2) = index.checked_sub(lvt::LINT0) {
            if value & lvt::LEVEL_TRIGGERED == 0 {
                self.state.lvt[index] &= !lvt::REMOTE_IRR;
            }
            self.look_at_level_pin(pin);
        }
    }

    fn timer_entry(&self) -> u32 {
        self.state.lvt[lvt::TIMER]
    }

    fn read(&mut self, register: u64) -> u32 {
        let state = &self.state;
        let word = (register >> 4 & 7) as usize;
        match register {
            offset::ID => u32::from(state.id) << 24,
            offset::VERSION => VERSION,
            offset::TASK_PRIORITY => u32::from(state.task_priority),
            offset::PROCESSOR_PRIORITY => u32::from(self.processor_priority()),
            offset::EOI => 0,
            offset::LOGICAL_DESTINATION => u32::from(state.logical_id) << 24,
            offset::DESTINATION_FORMAT => u32::from(state.destination_format) << 28 | 0x0FFF_FFFF,
            offset::SPURIOUS_VECTOR => state.spurious,
            offset::IN_SERVICE..offset::TRIGGER_MODE => state.in_service.word(word),
            offset::TRIGGER_MODE..offset::REQUEST => state.trigger_mode.word(word),
            offset::REQUEST..offset::ERROR_STATUS => state.request.word(word),
            offset::ERROR_STATUS => u32::from(state.error_status),
            offset::COMMAND_LOW => state.command_low,
            offset::COMMAND_HIGH => state.command_high,
            offset::LVT_FIRST..=offset::LVT_LAST => state.lvt[((register - offset::LVT_FIRST) >> 4) as usize],
            offset::INITIAL_COUNT => state.timer.initial,
            offset::CURRENT_COUNT => state.timer.count,
            offset::DIVIDE_CONFIGURATION => u32::from(state.timer.divide),
            _ => {
                self.report(error::ILLEGAL_REGISTER);
                0
            }
        }
    }

    fn write(&mut self, register: u64, value: u32) {
        let state = &mut self.state;
        match register {
            offset::ID => state.id = (value >> 24) as u8,
            offset::TASK_PRIORITY => state.task_priority = value as u8,
            offset::EOI => self.end_of_interrupt(),
            offset::LOGICAL_DESTINATION => state.logical_id = (value >> 24) as u8,
            offset::DESTINATION_FORMAT => state.destination_format = (value >> 28) as u8,
            offset::SPURIOUS_VECTOR => self.write_spurious(value),
            offset::ERROR_STATUS => state.error_status = std::mem::take(&mut state.errors),
            offset::COMMAND_LOW => {
                state.command_low = value & command::WRITABLE;
                self.send();
            }
            offset::COMMAND_HIGH => state.command_high = value & 0xFF00_0000,
            offset::LVT_FIRST..=offset::LVT_LAST => {
                self.write_lvt(((register - offset::LVT_FIRST) >> 4) as usize, value);
            }
            offset::INITIAL_COUNT => state.timer.start(value),
            offset::DIVIDE_CONFIGURATION => state.timer.set_divide(value as u8 & 0x0B),
            offset::VERSION | offset::PROCESSOR_PRIORITY | offset::CURRENT_COUNT => {}
            offset::IN_SERVICE..offset::ERROR_STATUS => {}
            _ => self.report(error::ILLEGAL_REGISTER),
        }
    }
}

impl Mmio for Lapic {
    /// Registers lie 16 bytes apart and answer in their first four; narrower reads give a part of them.
    fn read_memory(&mut self, offset: u64, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        if offset >= 0x1000 {
            return Err(IoError::NoSuchRegister);
        }
        let within = offset & 0xF;
        if within + u64::from(size.bytes()) > 4 {
            return Err(IoError::WrongSize);
        }
        self.advance(now);
        Ok(self.read(offset - within) >> (8 * within) & size.ones())
    }

    /// "Local APIC Register Address Map": all writes are aligned 32-bit stores.
    fn write_memory(
        &mut self,
        offset: u64,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        if offset >= 0x1000 {
            return Err(IoError::NoSuchRegister);
        }
        if size != AccessSize::Dword || offset & 0xF != 0 {
            return Err(IoError::WrongSize);
        }
        self.advance(now);
        self.write(offset, value);
        Ok(())
    }
}

impl Timed for Lapic {
    /// When the timer next enters an interrupt into the request register that is not there already.
    fn next_event(&self) -> Option<GuestTime> {
        let entry = self.timer_entry();
        let due = entry & lvt::MASKED == 0 && !self.state.request.contains(entry as u8);
        let clock = self.state.timer.expires_at().filter(|_| due)?;
        Some(self.bus.time_of(clock))
    }

    fn advance(&mut self, now: GuestTime) {
        let entry = self.timer_entry();
        let expired = self.state.timer.advance(self.bus.ticks_at(now), entry & lvt::PERIODIC != 0);
        if expired && entry & lvt::MASKED == 0 {
            self.accept(entry as u8, false);
        }
    }
}

impl Reset for Lapic {
    /// Power-on state, the ID and IA32_APIC_BASE included; the pins are driven by others.
    fn reset(&mut self) {
        self.state.id = self.initial_id;
        self.init();
        self.state.base = base::DEFAULT | base::ENABLED | base::BOOTSTRAP;
    }
}
