//! What translated code may know of changes of privilege: learnt from those that the interpreter executed.

use crate::host::context::Context;
use crate::host::crossing::{Crossing, Crossings, Found, Inputs};
use crate::key::{ModeKey, is_flat};
use crate::lower::crossing::{OUTER_FLAGS, SYSTEM_FLAGS, Way};
use crate::session::{Session, bounds};
use crate::views::Views;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::descriptor::{Descriptor, Kind, Selector};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::Segment;

/// Flat 32-bit code, as SYSENTER and SYSEXIT load it without reading a descriptor; DPL 0. SDM Vol. 2B, "SYSENTER—Fast
/// System Call".
const FLAT_CODE: u64 = 0x00CF_9B00_0000_FFFF;
/// The same of the stack.
const FLAT_STACK: u64 = 0x00CF_9300_0000_FFFF;

/// What `cpu` has of what crossings depend on.
pub fn inputs(cpu: &Cpu, views: &Views) -> Inputs {
    Inputs {
        table_registers: [cpu.gdtr, cpu.idtr],
        task: (cpu.tr.base, cpu.tr.limit, cpu.tr.access.0),
        sysenter: cpu.msr.sysenter,
        refused: cpu.reports().events || cpu.cr4 & cr4::TSD != 0,
        windows: views.switched,
    }
}

/// What an INT n is about to read.
#[derive(Clone, Copy, Debug)]
pub struct Foreseen {
    gate: Found,
    code: Found,
    /// The stack segment and the task state, from CPL 3.
    inner: Option<(Found, Found)>,
}

impl Session<'_, '_> {
    /// What the crossing that is about to be executed in mode `from` will read, if that can be found again: what it
    /// writes itself may change it.
    pub(crate) fn foresee(&mut self, way: Way, from: ModeKey) -> Option<Foreseen> {
        let Way::Int(vector) = way else { return None };
        let (idtr, at) = (self.cpu.idtr, u64::from(vector) * 8);
        if at + 7 > u64::from(idtr.limit) {
            return None;
        }
        let gate = self.find(idtr.base + at)?;
        let code = self.find_descriptor(Descriptor(gate.value).gate_selector())?;
        if from.kernel() {
            return Some(Foreseen { gate, code, inner: None });
        }
        let tr = self.cpu.tr;
        // ESP0 and SS0 of a 32-bit TSS.
        if !matches!(tr.access.describes(), Kind::Tss { wide: true, .. }) || tr.limit < 9 {
            return None;
        }
        let task = self.find(tr.base + 4)?;
        let stack = self.find_descriptor(Selector((task.value >> 32) as u16))?;
        Some(Foreseen { gate, code, inner: Some((stack, task)) })
    }

    /// The crossing was executed in mode `from`, with `sp` in ESP before; code goes on in mode `to`, for which the
    /// context is ready.
    pub(crate) fn learn_crossing(
        &mut self,
        context: &mut Context,
        way: Way,
        foreseen: Option<Foreseen>,
        sp: u32,
        [from, to]: [ModeKey; 2],
    ) -> Option<()> {
        if context.crossings.refused() || self.cpu.v8086() {
            return None;
        }
        let [_, cs, ss, ..] = self.cpu.seg;
        let same_level = from.user() == to.user();
        if !is_flat(&ss) || cs.base != 0 || cs.limit != u32::MAX || !(to.user() || to.kernel()) {
            return None;
        }
        let mut crossing = Crossing {
            tables: context.tables,
            memory: context.memory,
            eip_table: context.eip_table,
            code_read: bounds(&cs).0,
            selectors: [cs.selector.into(), ss.selector.into()],
            same_level: same_level.into(),
            ..Crossing::default()
        };
        let eip = self.cpu.rip as u32;
        let system = self.cpu.eflags.system();
        // Only without AC the mode behind it does not depend on CR0.AM.
        if to.user() && system & bit::AC != 0 {
            return None;
        }
        let (place, what) = match way {
            Way::Sysenter => {
                crossing.descriptors = [FLAT_CODE, FLAT_STACK];
                (crossing.eip, crossing.esp) = (eip, self.cpu.gpr.get(gpr::SP));
                (Crossings::SYSENTER, 0)
            }
            Way::Sysexit => {
                crossing.descriptors = [FLAT_CODE, FLAT_STACK].map(|d| Descriptor(d).with_dpl(3).0);
                crossing.need_flags(OUTER_FLAGS, system);
                (Crossings::SYSEXIT, 0)
            }
            Way::Int(vector) => {
                let Foreseen { gate, code, inner } = foreseen?;
                let descriptor = Descriptor(gate.value);
                crossing.keeps_interrupts = match descriptor.access().describes() {
                    Kind::InterruptGate { wide: true } => 0,
                    Kind::TrapGate { wide: true } => 1,
                    _ => return None,
                };
                (crossing.gate, crossing.code, crossing.descriptors[0]) = (gate, code, code.value);
                if let Some((stack, task)) = inner {
                    (crossing.stack, crossing.task, crossing.descriptors[1]) = (stack, task, stack.value);
                }
                let goes_there = descriptor.gate_offset() == u64::from(eip) && same_level == inner.is_none();
                goes_there.then_some(())?;
                crossing.eip = eip;
                self.fill(false, self.cpu.gpr.get(gpr::SP));
                (Crossings::int(vector), vector.into())
            }
            Way::Iret => {
                crossing.code = self.find_descriptor(Selector(cs.selector))?;
                crossing.descriptors[0] = crossing.code.value;
                if !same_level {
                    crossing.stack = self.find_descriptor(Selector(ss.selector))?;
                    crossing.descriptors[1] = crossing.stack.value;
                }
                crossing.need_flags(SYSTEM_FLAGS, system);
                crossing.system = u64::from(system & !bit::IF);
                self.fill(false, sp);
                (Crossings::iret(cs.selector), cs.selector)
            }
        };
        let loads = |n: usize, s: &Segment| {
            let descriptor = Descriptor(crossing.descriptors[n]);
            descriptor.0 & Descriptor::ACCESSED != 0 && descriptor.segment(s.selector) == *s
        };
        if !loads(0, &cs) || !same_level && !loads(1, &ss) {
            return None;
        }
        crossing.tag = Crossing::tag_of(from.bits(), what);
        context.crossings.learn(place, crossing);
        Some(())
    }

    /// The eight bytes at `linear`, if translated code can read them with the rights of the supervisor.
    fn find(&mut self, linear: u64) -> Option<Found> {
        let linear = u32::try_from(linear).ok().filter(|linear| linear % 0x1000 <= 0x1000 - 8)?;
        let page = self.fill(false, linear).filter(|page| page.read)?;
        Some(Found::new(linear, self.biu.ram_read(page.ram + u64::from(linear & 0xFFF))))
    }

    /// The descriptor of `selector` in the GDT, likewise.
    fn find_descriptor(&mut self, selector: Selector) -> Option<Found> {
        let gdtr = self.cpu.gdtr;
        if selector.is_null() || selector.is_local() || selector.offset() + 7 > u64::from(gdtr.limit) {
            return None;
        }
        self.find(gdtr.base + selector.offset())
    }
}

impl Crossing {
    /// Of the flags of `mask`, those of `flags` are needed.
    fn need_flags(&mut self, mask: u32, flags: u32) {
        let places = (0..32).filter(|place| mask & 1 << place != 0);
        self.flags_mask = mask;
        self.flags = places.enumerate().fold(0, |moved, (n, place)| moved | (flags >> place & 1) << n);
    }
}
