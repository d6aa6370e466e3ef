//! Lowering: from the instructions of a translation unit to host code.
//!
//! What can run as it is, is re-encoded with its operands in place ([`ident`]); memory operands go through the shadow
//! tables ([`memory`], [`bit`]); x87, MMX and SSE instructions find their registers in the host's ([`extended`]);
//! branches are linked ([`branch`]); the stack is addressed through r14 ([`stack`]). Everything else becomes a callout:
//! the interpreter executes the one instruction. A trap of the host can stand in a callout's place ([`trap`]).

mod bit;
mod branch;
pub mod crossing;
mod extended;
mod flags;
mod ident;
mod memory;
mod segment;
mod stack;
mod string;
mod time;
mod trap;

use crate::discover::GuestInsn;
use crate::emit::abi;
use crate::emit::stubs::Stubs;
use crate::extended::{Last, Uses};
use crate::key::ModeKey;
use crate::options::Sensitive;
use crossing::Way;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};
use extended::Aligned;
use iced_x86::{Encoder, FlowControl, Instruction, InstructionInfoFactory, Mnemonic};
use idem86_cpu::decode::attrs::{self, Class, Sensitivity};
use idem86_cpu::state::segment::SegReg;

/// A direct branch that can be patched to lead to another unit.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Offset in the unit's code of the branch's 32-bit displacement.
    pub patch: u32,
    /// Offset of the stub that it leads to while it is not linked.
    pub stub: u32,
    /// EIP of the target.
    pub target: u32,
}

/// Why a site asks for the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// The instruction takes this way.
    Plain,
    /// RDTSC, of which translated code does not know the value yet.
    Time,
    /// A repeated string instruction that faulted in a window or does not find its pages in the tables, or that the
    /// budget does not suffice for.
    Repeat,
    /// The same of one that compares.
    RepeatedComparison,
    /// The instruction raised an exception on the host that is also the guest's.
    Trap,
    /// An access that found no entry in the shadow tables.
    Table,
    /// An access that faulted in a window, or found no entry.
    Window,
    /// A change of privilege, or what goes through a gate, of which nothing is known, or something else.
    Crossing(Way),
    /// A load of a segment register whose descriptor is not known, or is another one now.
    Segment,
    /// What the instruction uses is not live: it is made so, or the unit is left behind the instruction.
    Live,
    /// The same of what the unit uses, before its first instruction; or the budget does not suffice for it.
    Start,
}

/// A place where translated code may ask for the interpreter.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Number of the instruction in its unit.
    pub insn: u8,
    /// Why.
    pub kind: SiteKind,
    /// The instruction may change the mode or segments, whatever way it takes.
    pub changes_mode: bool,
    /// Offset in the unit's code of what follows a look-up that found an entry; its slow path names the site by it.
    pub go: Option<u32>,
    /// Offset in the unit's code of the host instruction that may fault.
    pub fault: Option<u32>,
    /// Offset in the unit's code of what follows; `None` if the unit is left in any case.
    pub resume: Option<u32>,
    /// What the instruction uses.
    pub uses: Uses,
    /// The segment of its memory operand, if it is a numeric instruction.
    pub data: Option<SegReg>,
    /// What the unit has done before the instruction.
    pub last: Last,
}

/// Host code for a translation unit.
#[derive(Debug)]
pub struct Lowered {
    /// The code.
    pub code: Vec<u8>,
    /// Where it is entered.
    pub entry: u32,
    /// Its branches.
    pub links: Vec<Link>,
    /// Its callouts.
    pub sites: Vec<Site>,
}

/// What a unit is lowered for.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Its number; links and sites are named by it.
    pub unit: u32,
    /// Offset in the arena where the code will be.
    pub at: u32,
    /// EIP of its first instruction.
    pub eip: u32,
    /// Its mode.
    pub key: ModeKey,
    /// The stubs.
    pub stubs: Stubs,
    /// Exceptions of the host that are the guest's too come back.
    pub traps: bool,
    /// What becomes of sensitive instructions.
    pub sensitive: Sensitive,
    /// Whether the instruction at this offset has faulted too often.
    pub avoids_faults: &'a dyn Fn(u32) -> bool,
}

/// Links and sites of a unit are named by the unit's number, shifted by this, plus their own.
pub const UNIT_SHIFT: u32 = 8;

/// Added to the offset in the arena by which a site is named that a look-up leads to.
pub const GO_SITE: u32 = 1 << 31;

/// A branch out of the middle, lowered behind the unit's straight path.
struct SideExit {
    /// Offset of the displacement of the conditional branch that leads here.
    from: usize,
    /// Work that was counted for the instructions that it skips.
    refund: u32,
    /// EIP of its target.
    target: u32,
}

struct Lower<'a> {
    frame: Frame<'a>,
    guest: &'a [GuestInsn],
    asm: VecAssembler<X64Relocation>,
    encoder: Encoder,
    factory: InstructionInfoFactory,
    /// The last branch to the slow path, and where it is: such branches are short and lead from one to the next.
    hop: Option<(DynamicLabel, usize)>,
    side_exits: Vec<SideExit>,
    /// Displacements to be written when the code is complete: position, target.
    fixups: Vec<(usize, usize)>,
    links: Vec<Link>,
    sites: Vec<Site>,
    /// Sites to be resumed behind the instruction that is lowered.
    pending: Vec<u32>,
    /// What the present instruction uses.
    uses: Uses,
    /// What is known to be live.
    live: Uses,
    /// The operand that is known to lie on a 16-byte boundary.
    aligned: Option<Aligned>,
    /// What the instructions so far have done, unless they told.
    last: Last,
}

/// How far the chain of short branches may reach before it needs another hop; the longest piece of code that is
/// emitted without looking is about 75 bytes.
const HOP_REACH: usize = 40;

/// Lowers the instructions `guest`; `None` if a short branch would have to be long, or there are more sites than names.
pub fn lower<'a>(guest: &'a [GuestInsn], frame: Frame<'a>) -> Option<Lowered> {
    let mut l = Lower {
        frame,
        guest,
        asm: VecAssembler::new(0),
        encoder: Encoder::new(64),
        factory: InstructionInfoFactory::new(),
        hop: None,
        side_exits: Vec::new(),
        fixups: Vec::new(),
        links: Vec::new(),
        sites: Vec::new(),
        pending: Vec::new(),
        uses: Uses::default(),
        live: Uses::default(),
        aligned: None,
        last: Last::default(),
    };
    let entry = l.prologue();
    let mut open = true;
    for n in 0..guest.len() {
        l.extend_hops();
        open = l.instruction(n);
    }
    if open {
        l.leave_last();
        let next = guest.last().map_or(0, GuestInsn::end);
        l.leave_to(frame.eip.wrapping_add(next));
    }
    l.epilogue();
    let Lower { asm, fixups, links, sites, .. } = l;
    let mut code = asm.finalize().ok()?;
    for (at, target) in fixups {
        let displacement = (target as i32).wrapping_sub(at as i32 + 4);
        code[at..at + 4].copy_from_slice(&displacement.to_le_bytes());
    }
    (sites.len() <= 1 << UNIT_SHIFT).then_some(Lowered { code, entry: entry as u32, links, sites })
}

impl Lower<'_> {
    fn position(&self) -> usize {
        self.asm.offset().0
    }

    /// The work that the unit is, and the way out where the budget does not suffice or what it uses is not live.
    fn prologue(&mut self) -> usize {
        let count = self.guest.len() as i32;
        let short = self.asm.new_dynamic_label();
        self.live = self.needs();
        let site = (self.live != Uses::default()).then(|| {
            self.uses = self.live | Uses::of(&self.guest[0].instruction);
            self.new_site(0, SiteKind::Start)
        });
        dynasm!(self.asm; .arch x64
            ; =>short
            ; mov rcx, r8
        );
        if let Some(site) = site {
            dynasm!(self.asm; .arch x64; mov r9d, site as i32);
            self.jump_to_stub(self.frame.stubs.callout);
            self.resume_here(site);
        } else {
            let start = self.frame.eip as i32;
            dynasm!(self.asm; .arch x64
                ; lea r11, [r11 + count]
                ; mov r8d, start
            );
            self.jump_to_stub(crate::emit::stubs::MISS);
        }
        let entry = self.position();
        dynasm!(self.asm; .arch x64
            ; lea r11, [r11 - count]
            ; mov r8, rcx
        );
        if site.is_some() {
            let usable = abi::usable(self.live.x87, self.live.simd);
            dynasm!(self.asm; .arch x64; pext rcx, r11, [r12 + usable]);
        } else {
            dynasm!(self.asm; .arch x64; shrx rcx, r11, r12);
        }
        dynasm!(self.asm; .arch x64
            ; jrcxz =>short
            ; mov rcx, r8
        );
        entry
    }

    /// What lies behind the straight path.
    fn epilogue(&mut self) {
        if let Some((label, _)) = self.hop.take() {
            dynasm!(self.asm; .arch x64; =>label);
            self.jump_to_stub(self.frame.stubs.slow);
        }
        for exit in std::mem::take(&mut self.side_exits) {
            let here = self.position();
            self.fixups.push((exit.from, here));
            if exit.refund == 0 && self.can_link(exit.target) {
                self.link(exit.from, exit.target);
            } else {
                self.refund(exit.refund);
                self.leave_to(exit.target);
            }
        }
    }

    fn refund(&mut self, work: u32) {
        if work > 0 {
            dynasm!(self.asm; .arch x64; lea r11, [r11 + work as i32]);
        }
    }

    /// Lowers instruction `n`. Gives whether the one behind it can be reached.
    fn instruction(&mut self, n: usize) -> bool {
        let i = self.guest[n].instruction;
        self.uses = Uses::of(&i);
        let before = n.checked_sub(1).map(|n| self.guest[n].instruction);
        self.aligned = self.aligned.filter(|a| before.is_none_or(|i| a.survives(&i)));
        if i.flow_control() != FlowControl::Next {
            self.leave_last();
        }
        if let Some(open) = self.branch(n, &i) {
            // Wherever it leads, the unit is left.
            self.pending.clear();
            return open;
        }
        let monitored = self.monitored(n, &i);
        if !monitored && self.crossing(n, &i) {
            return false;
        }
        let lowered = monitored
            || self.stack(n, &i)
            || self.ident(n, &i)
            || self.bit_in_string(n, &i)
            || self.string(n, &i)
            || self.flag_control(n, &i)
            || self.segment_load(n, &i)
            || self.time_stamp(n, &i)
            || self.extended_state(n, &i);
        if !lowered {
            self.callout(n);
        }
        for site in std::mem::take(&mut self.pending) {
            self.resume_here(site);
        }
        true
    }

    /// The interpreter executes instruction `n`.
    fn callout(&mut self, n: usize) {
        let site = self.new_site(n, SiteKind::Plain);
        dynasm!(self.asm; .arch x64; mov r9d, site as i32);
        self.jump_to_stub(self.frame.stubs.callout);
        self.resume_emulated(n, site);
    }

    /// What follows is executed after the callout of `site` for the whole of instruction `n`.
    fn resume_emulated(&mut self, n: usize, site: u32) {
        self.resume_here(site);
        self.live = self.live.without(self.uses);
        let guest = self.guest;
        self.note_last(n, &guest[n].instruction);
    }

    /// A site of instruction `n`, to be completed by [`Lower::resume_here`].
    fn new_site(&mut self, n: usize, kind: SiteKind) -> u32 {
        let i = &self.guest[n].instruction;
        let sensitive = attrs::sensitivity(i) == Sensitivity::Sensitive
            && !matches!(attrs::class(i), Some(Class::InputOutput));
        self.sites.push(Site {
            insn: n as u8,
            kind,
            changes_mode: sensitive || matches!(i.mnemonic(), Mnemonic::Cld | Mnemonic::Std),
            fault: None,
            go: None,
            resume: None,
            uses: self.uses,
            data: self.uses.x87.then(|| extended::data_segment(i)).flatten(),
            last: self.last,
        });
        self.frame.unit << UNIT_SHIFT | (self.sites.len() - 1) as u32
    }

    /// A site for an access of instruction `n`.
    fn memory_site(&mut self, n: usize) -> u32 {
        self.new_site(n, if self.may_use_window(n) { SiteKind::Window } else { SiteKind::Table })
    }

    /// Whether the accesses of instruction `n` may go through a window.
    fn may_use_window(&self, n: usize) -> bool {
        self.frame.key.window() && !(self.frame.avoids_faults)(self.guest[n].offset)
    }

    /// A site for an access that goes through the tables in any case.
    fn table_site(&mut self, n: usize) -> u32 {
        self.new_site(n, SiteKind::Table)
    }

    fn site(&self, site: u32) -> &Site {
        &self.sites[(site & ((1 << UNIT_SHIFT) - 1)) as usize]
    }

    fn site_mut(&mut self, site: u32) -> &mut Site {
        &mut self.sites[(site & ((1 << UNIT_SHIFT) - 1)) as usize]
    }

    /// What follows is executed after the callout of `site`.
    fn resume_here(&mut self, site: u32) {
        let here = self.position() as u32;
        self.site_mut(site).resume = Some(here);
    }

    /// What follows the instruction that is being lowered is executed after the callout of `site`.
    fn resume_behind(&mut self, site: u32) {
        self.pending.push(site);
    }

    /// The next host instruction may fault on behalf of `site`.
    fn faults_here(&mut self, site: u32) {
        let here = self.position() as u32;
        self.site_mut(site).fault = Some(here);
    }

    /// Encodes a host instruction. `false` if there is no such encoding.
    fn encode(&mut self, i: &Instruction) -> bool {
        let bytes = self.try_encode(i);
        self.asm.extend(bytes.as_deref().unwrap_or_default());
        bytes.is_some()
    }

    /// A host instruction as bytes, if there is such an encoding.
    fn try_encode(&mut self, i: &Instruction) -> Option<Vec<u8>> {
        let encoded = self.encoder.encode(i, 0).is_ok();
        let bytes = self.encoder.take_buffer();
        encoded.then_some(bytes)
    }

    /// A branch to a stub of the arena.
    fn jump_to_stub(&mut self, stub: u32) {
        let end = self.frame.at as usize + self.position() + 5;
        let displacement = (stub as i32).wrapping_sub(end as i32);
        dynasm!(self.asm; .arch x64; .u8 0xE9; .i32 displacement);
    }

    /// JRCXZ to the slow path of `site`.
    fn slow_if_zero(&mut self, site: u32) {
        dynasm!(self.asm; .arch x64; mov r9d, site as i32);
        self.hop_if_zero();
    }

    /// The same where RCX is the entry of linear address r8: the slow path may find another, and go on here.
    fn slow_if_no_entry(&mut self, site: u32) {
        // MOV r9d, imm32 and JRCXZ take six and two bytes.
        let go = self.position() as u32 + 8;
        if self.site(site).go.is_some() {
            return self.slow_if_zero(site);
        }
        self.site_mut(site).go = Some(go);
        dynasm!(self.asm; .arch x64; mov r9d, (GO_SITE | (self.frame.at + go)) as i32);
        self.hop_if_zero();
        debug_assert_eq!(self.position() as u32, go);
    }

    fn hop_if_zero(&mut self) {
        let next = self.asm.new_dynamic_label();
        if let Some((label, _)) = self.hop.take() {
            dynasm!(self.asm; .arch x64; =>label);
        }
        self.hop = Some((next, self.position()));
        dynasm!(self.asm; .arch x64; jrcxz =>next);
    }

    /// Keeps the chain to the slow path unbroken over code without memory accesses.
    fn extend_hops(&mut self) {
        let here = self.position();
        let Some((label, _)) = self.hop.take_if(|(_, at)| here - *at > HOP_REACH) else { return };
        let next = self.asm.new_dynamic_label();
        let over = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64; jmp BYTE =>over; =>label);
        self.hop = Some((next, self.position()));
        dynasm!(self.asm; .arch x64; jrcxz =>next; =>over);
    }
}
