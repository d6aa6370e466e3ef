//! From the interrupt pins of PCI to IRQ lines: the board's wiring, the route control registers, and sharing.
//!
//! Intel 82371SB, "PIRQ route control"; PCI Local Bus Specification 2.1, "Interrupt Pins".

use super::FunctionId;
use super::function::PciFunction;
use super::spec::isa_bridge::{IRQ, PIRQ_ROUTE, ROUTABLE, ROUTING_DISABLED};
use crate::irq::{IrqBank, IrqInputs, IrqLine};

/// How many sources can share the IRQ lines.
pub const MAX_SOURCES: usize = 32;

/// An interrupt pin of a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// INTA#.
    A,
    /// INTB#.
    B,
    /// INTC#.
    C,
    /// INTD#.
    D,
}

/// Where a source leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Pirq(u8),
    Irq(u8),
}

/// The sources, and the lines they are led to.
#[derive(Debug)]
pub(super) struct Interrupts {
    pub bank: IrqBank,
    inputs: IrqInputs,
    leads: Vec<Lead>,
    outputs: [IrqLine; 16],
    /// The IRQ lines that are high because of a source.
    pub driven: u16,
}

impl Interrupts {
    pub fn new(outputs: [IrqLine; 16]) -> Self {
        let bank = IrqBank::new();
        Interrupts { inputs: bank.inputs(0), bank, leads: Vec::new(), outputs, driven: 0 }
    }

    fn connect(&mut self, lead: Lead) -> IrqLine {
        let number = self.leads.len();
        assert!(number < MAX_SOURCES, "the board has no room for another interrupt source");
        self.leads.push(lead);
        self.bank.line(number as u8)
    }

    /// Connects a pin of the device at `id`. The pins of neighbouring devices are rotated by one, so that
    /// devices with one interrupt each do not share. Device 1 has PIRQA on its INTA.
    pub fn connect_pin(&mut self, id: FunctionId, pin: Pin) -> IrqLine {
        self.connect(Lead::Pirq((pin as u8).wrapping_add(id.device).wrapping_sub(1) % 4))
    }

    /// Connects a source to an IRQ line, past all routing.
    pub fn connect_irq(&mut self, irq: u8) -> IrqLine {
        assert!(irq < 16, "there are 16 IRQ lines");
        self.connect(Lead::Irq(irq))
    }

    /// The levels of PIRQA to PIRQD, in bits 0 to 3.
    pub fn pirqs(&self) -> u8 {
        self.high().fold(0, |pirqs, lead| match lead {
            Lead::Pirq(pirq) => pirqs | 1 << pirq,
            Lead::Irq(_) => pirqs,
        })
    }

    fn high(&self) -> impl Iterator<Item = Lead> + '_ {
        let levels = self.inputs.levels();
        self.leads.iter().enumerate().filter(move |(i, _)| levels & 1 << i != 0).map(|(_, lead)| *lead)
    }

    /// Drives the IRQ lines that sources are led to. A line to which no source was ever led is left alone,
    /// since it belongs to an ISA device.
    pub fn sync(&mut self, isa_bridge: &PciFunction) {
        if self.inputs.levels() == 0 && self.driven == 0 {
            return;
        }
        let driven = self.high().fold(0, |irqs, lead| match lead {
            Lead::Irq(irq) => irqs | 1 << irq,
            Lead::Pirq(pirq) => irqs | route(isa_bridge, pirq).map_or(0, |irq| 1 << irq),
        });
        let changed = driven ^ self.driven;
        self.driven = driven;
        for (irq, line) in self.outputs.iter().enumerate().filter(|(irq, _)| changed & 1 << irq != 0) {
            line.set(driven & 1 << irq != 0);
        }
    }
}

/// The IRQ that PIRQ `pirq` (0 to 3) is routed to, if it is.
pub(super) fn route(isa_bridge: &PciFunction, pirq: u8) -> Option<u8> {
    let register = isa_bridge.config[PIRQ_ROUTE + usize::from(pirq)];
    let irq = register & IRQ;
    (register & ROUTING_DISABLED == 0 && ROUTABLE & 1 << irq != 0).then_some(irq)
}
