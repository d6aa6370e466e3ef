//! Task switches.
//!
//! SDM Vol. 3A, "Task Management". Up to the point where the old task is saved a fault leaves everything as it was;
//! from there on it belongs to the new task.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::mmu::descriptors::TableEntry;
use crate::mmu::{Access, tlb::View};
use crate::state::control::{cr0, cr4, dr6, dr7};
use crate::state::descriptor::{Descriptor, Kind, Selector};
use crate::state::eflags::bit;
use crate::state::gpr;
use crate::state::segment::{SegReg, Segment};

/// What brings a task switch about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// JMP.
    Jump,
    /// CALL, an exception or an interrupt: the new task returns to the old one.
    Nested,
    /// IRET with NT set.
    Return,
}

/// Where the fields of a TSS are. SDM Vol. 3A, "32-Bit Task-State Segment (TSS)", "16-Bit TSS".
struct Layout {
    /// EIP; EFLAGS and the eight general registers follow.
    ip: u64,
    /// ES; CS, SS, DS (and FS, GS) follow.
    segments: u64,
    /// How many segment registers there are.
    segment_count: usize,
    ldt: u64,
    /// Bytes of a field.
    field: u64,
    /// The smallest limit of a TSS that can be switched to.
    limit: u32,
}

const TSS16: Layout = Layout { ip: 0x0E, segments: 0x22, segment_count: 4, ldt: 0x2A, field: 2, limit: 0x2B };
const TSS32: Layout = Layout { ip: 0x20, segments: 0x48, segment_count: 6, ldt: 0x60, field: 4, limit: 0x67 };
/// CR3 of a 32-bit TSS.
const CR3: u64 = 0x1C;
/// The word of a 32-bit TSS whose bit 0 is the debug trap flag.
const TRAP: u64 = 0x64;

impl Layout {
    fn of(wide: bool) -> &'static Layout {
        if wide { &TSS32 } else { &TSS16 }
    }
    /// Bytes of what a switch away saves, from [`Layout::ip`] on.
    fn saved_bytes(&self) -> u64 {
        self.segments + self.segment_count as u64 * self.field - self.ip
    }
}

/// What a TSS holds.
struct Image {
    ip: u32,
    flags: u32,
    gpr: [u32; 8],
    /// ES, CS, SS, DS, FS, GS.
    segments: [u16; 6],
    ldt: u16,
    trap: bool,
}

impl Cpu {
    /// The TSS that a task gate names, checked.
    pub(crate) fn gate_tss(&mut self, biu: &mut Biu, gate: Descriptor) -> Outcome<TableEntry> {
        let selector = gate.gate_selector();
        if selector.is_local() {
            return Err(Fault::gp(selector.0));
        }
        let entry = self.need_descriptor(biu, selector, Fault::gp)?;
        available_tss(entry)
    }

    /// Switches to the task of `tss`, which was checked to be of the right kind. `old_flags` is what is saved as
    /// the old task's EFLAGS, `error` what is pushed on the new task's stack.
    ///
    /// On `Err` nothing has changed. `Ok(Some(fault))`: the switch is done, and the new task raised `fault` before
    /// its first instruction.
    pub(crate) fn switch_task(
        &mut self,
        biu: &mut Biu,
        tss: TableEntry,
        how: Switch,
        old_flags: u32,
        error: Option<u16>,
    ) -> Outcome<Option<Fault>> {
        let Kind::Tss { wide, .. } = tss.descriptor.access().describes() else {
            return Err(Fault::ts(tss.selector.0));
        };
        let layout = Layout::of(wide);
        if tss.descriptor.limit() < layout.limit {
            return Err(Fault::ts(tss.selector.0));
        }
        let old = self.probe_switch(biu, &tss, how, layout)?;
        let base = tss.descriptor.base();
        let paged = wide && self.cr0 & cr0::PG != 0;
        let new_cr3 = if paged { Some(self.read_system::<u32>(biu, base + CR3)?) } else { None };
        let pdptes = match new_cr3 {
            Some(cr3) if self.cr4 & cr4::PAE != 0 => Some(self.read_pdptes(biu, cr3 as u64)?),
            _ => None,
        };

        // From here on nothing can fault: everything was probed.
        self.save_task(biu, old_flags)?;
        let mut tss = tss;
        if let Some(mut old) = old {
            self.mark_busy(biu, &mut old, false)?;
        }
        if how == Switch::Nested {
            self.write_system(biu, base, self.tr.selector)?;
        }
        if how != Switch::Return {
            self.mark_busy(biu, &mut tss, true)?;
        }
        let image = self.read_task(biu, base, wide)?;
        if let Some(cr3) = new_cr3 {
            self.cr3 = cr3 as u64;
            self.pdpte = pdptes.unwrap_or(self.pdpte);
            self.enter_space(biu);
        }
        self.tr = tss.descriptor.segment(tss.selector.0);
        self.cr0 |= cr0::TS;
        if self.dr7 & dr7::LOCAL != 0 {
            self.dr7 &= !dr7::LOCAL;
            self.flush_tlb();
        }
        Ok(self.enter_task(biu, &image, how, wide, error).err())
    }

    /// Checks that everything a switch touches can be touched. Gives the descriptor of the old TSS where its busy
    /// bit is to be cleared.
    fn probe_switch(
        &mut self,
        biu: &mut Biu,
        tss: &TableEntry,
        how: Switch,
        layout: &Layout,
    ) -> Outcome<Option<TableEntry>> {
        let old_layout = Layout::of(self.tr.access.is_tss32());
        let (at, len) = (old_layout.ip, old_layout.saved_bytes());
        if (self.tr.limit as u64) < at + len - 1 {
            return Err(Fault::ts(self.tr.selector));
        }
        let base = tss.descriptor.base();
        let view = View::Supervisor;
        self.probe(biu, self.tr.base + at, len as usize, Access::Write, view)?;
        self.probe(biu, base, layout.limit as usize + 1, Access::Read, view)?;
        if how == Switch::Nested {
            self.probe(biu, base, 2, Access::Write, view)?;
        }
        if how != Switch::Return {
            self.probe_entry(biu, tss)?;
        }
        if how == Switch::Nested {
            return Ok(None);
        }
        let selector = Selector(self.tr.selector);
        let old = self.find_descriptor(biu, selector)?.ok_or(Fault::ts(selector.0))?;
        self.probe_entry(biu, &old)?;
        Ok(Some(old))
    }

    /// Saves the registers in the current TSS.
    fn save_task(&mut self, biu: &mut Biu, flags: u32) -> Outcome {
        let wide = self.tr.access.is_tss32();
        let layout = Layout::of(wide);
        let mut at = self.tr.base + layout.ip;
        let mut fields = [self.rip as u32, flags, 0, 0, 0, 0, 0, 0, 0, 0];
        for (field, r) in fields[2..].iter_mut().zip(gpr::AX..) {
            *field = self.gpr.get(r);
        }
        for v in fields {
            if wide {
                self.write_system(biu, at, v)?;
            } else {
                self.write_system(biu, at, v as u16)?;
            }
            at += layout.field;
        }
        for n in 0..layout.segment_count {
            let selector = self.seg[n].selector;
            self.write_system(biu, self.tr.base + layout.segments + n as u64 * layout.field, selector)?;
        }
        Ok(())
    }

    fn read_task(&mut self, biu: &mut Biu, base: u64, wide: bool) -> Outcome<Image> {
        let layout = Layout::of(wide);
        let mut fields = [0; 10];
        for (n, v) in fields.iter_mut().enumerate() {
            let at = base + layout.ip + n as u64 * layout.field;
            *v = if wide { self.read_system(biu, at)? } else { self.read_system::<u16>(biu, at)? as u32 };
        }
        let [ip, flags, general @ ..] = fields;
        // The upper halves are undefined by the manual after a switch to a 16-bit task; processors set them.
        let general = if wide { general } else { general.map(|v| v | 0xFFFF_0000) };
        let mut segments = [0; 6];
        for (n, v) in segments[..layout.segment_count].iter_mut().enumerate() {
            *v = self.read_system(biu, base + layout.segments + n as u64 * layout.field)?;
        }
        let ldt = self.read_system(biu, base + layout.ldt)?;
        let trap = wide && self.read_system::<u16>(biu, base + TRAP)? & 1 != 0;
        Ok(Image { ip, flags, gpr: general, segments, ldt, trap })
    }

    /// Loads the registers of the new task. A fault is the new task's.
    fn enter_task(
        &mut self,
        biu: &mut Biu,
        image: &Image,
        how: Switch,
        wide: bool,
        error: Option<u16>,
    ) -> Outcome {
        self.rip = image.ip as u64;
        for (r, v) in image.gpr.iter().enumerate() {
            self.gpr.set(r as u8, *v);
        }
        let nested = if how == Switch::Nested { bit::NT } else { 0 };
        self.set_eflags(image.flags | nested);
        // Until its descriptor is loaded a segment register cannot be used; in virtual-8086 mode it needs none.
        let v86 = self.v8086();
        self.seg = image.segments.map(if v86 { Segment::v86 } else { Segment::null });
        self.ldtr = Segment::null(image.ldt);
        self.set_cpl(if v86 { 3 } else { Selector(image.segments[SegReg::Cs as usize]).rpl() });
        if image.trap {
            self.pending_debug |= dr6::BT;
        }

        self.load_task_ldt(biu, Selector(image.ldt))?;
        if !v86 {
            let selector = |r: SegReg| Selector(image.segments[r as usize]);
            self.seg[SegReg::Cs as usize] = self.task_code_segment(biu, selector(SegReg::Cs))?;
            self.seg[SegReg::Ss as usize] =
                self.stack_segment(biu, selector(SegReg::Ss), self.cpl, Fault::ts)?;
            for r in [SegReg::Ds, SegReg::Es, SegReg::Fs, SegReg::Gs] {
                if !selector(r).is_null() {
                    self.seg[r as usize] = self.data_segment(biu, selector(r), Fault::ts)?;
                }
            }
        }
        match error {
            Some(code) if wide => self.push(biu, code as u32)?,
            Some(code) => self.push(biu, code)?,
            None => {}
        }
        if self.rip > self.seg[SegReg::Cs as usize].limit as u64 {
            return Err(Fault::GP0);
        }
        Ok(())
    }

    fn load_task_ldt(&mut self, biu: &mut Biu, selector: Selector) -> Outcome {
        if selector.is_null() {
            return Ok(());
        }
        let entry = match selector.is_local() {
            true => None,
            false => self.find_descriptor(biu, selector)?,
        };
        match entry.map(|e| e.descriptor) {
            Some(d) if d.access().describes() == Kind::Ldt && d.access().present() => {
                self.ldtr = d.segment(selector.0);
                Ok(())
            }
            _ => Err(Fault::ts(selector.0)),
        }
    }

    fn task_code_segment(&mut self, biu: &mut Biu, selector: Selector) -> Outcome<Segment> {
        let mut entry = self.need_descriptor(biu, selector, Fault::ts)?;
        let rights = entry.descriptor.access();
        let fits = if rights.is_conforming_code() {
            rights.dpl() <= selector.rpl()
        } else {
            rights.is_code() && rights.dpl() == selector.rpl()
        };
        if !fits {
            return Err(Fault::ts(selector.0));
        }
        if !rights.present() {
            return Err(Fault::np(selector.0));
        }
        self.mark_accessed(biu, &mut entry)?;
        Ok(entry.descriptor.segment(selector.0))
    }
}

/// The TSS of `entry`, if it is one that JMP, CALL and task gates may switch to.
pub(crate) fn available_tss(entry: TableEntry) -> Outcome<TableEntry> {
    let rights = entry.descriptor.access();
    match rights.describes() {
        Kind::Tss { busy: false, .. } if rights.present() => Ok(entry),
        Kind::Tss { busy: false, .. } => Err(Fault::np(entry.selector.0)),
        _ => Err(Fault::gp(entry.selector.0)),
    }
}
