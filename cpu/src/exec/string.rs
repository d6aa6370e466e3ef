//! String instructions: MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS, with REP, REPE and REPNE.
//!
//! SDM Vol. 1, "String Instructions" and "Repeated String Operations". A repeated instruction runs in chunks: it
//! stops for good when the count is used up or the comparison says so, and for the time being when the budget is
//! used up or something must be looked at, with the registers after the last whole iteration and EIP at itself.
//! A fault finds them in the same state.
//!
//! [`StringOp::element`] is what an iteration means. Where plain memory within one page is at both pointers,
//! [`StringOp::bulk`] does many iterations at once with the same outcome.

use super::form::by_size_to_32;
use crate::bus::{Biu, Work};
use crate::cpu::{Cpu, Leave};
use crate::decode::insn::{Handler, Insn, Prefix};
use crate::event::exception::Outcome;
use crate::state::eflags::{Eflags, bit};
use crate::state::gpr::{self, Word};
use crate::state::segment::SegReg;
use iced_x86::{Instruction, Mnemonic};
use std::cell::Cell;

/// A string operation.
pub trait StringOp {
    /// Whether it steps SI.
    const SOURCE: bool;
    /// Whether it steps DI.
    const DESTINATION: bool;
    /// Whether ZF can end the repetition.
    const COMPARES: bool = false;

    /// One iteration, but for stepping the registers.
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers) -> Outcome;

    /// Does up to `most` (at least 1) iterations, but for stepping the registers, and gives how many; 0 where
    /// the next one has to be done by [`StringOp::element`].
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work;
}

/// Where a string instruction stands: the offsets in SI and DI, by address size.
#[derive(Clone, Copy, Debug)]
pub struct Pointers {
    source: u64,
    destination: u64,
}

impl Pointers {
    #[inline(always)]
    fn of(cpu: &Cpu, insn: &Insn) -> Self {
        let mask = insn.address_mask();
        Pointers { source: cpu.gpr.full(gpr::SI) & mask, destination: cpu.gpr.full(gpr::DI) & mask }
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    Some(match i.mnemonic() {
        Movsb | Movsw | Movsd if i.is_string_instruction() => handler::<Movs>(i),
        Cmpsb | Cmpsw | Cmpsd if i.is_string_instruction() => handler::<Cmps>(i),
        Scasb | Scasw | Scasd => handler::<Scas>(i),
        Lodsb | Lodsw | Lodsd => handler::<Lods>(i),
        Stosb | Stosw | Stosd => handler::<Stos>(i),
        Insb | Insw | Insd => handler::<Ins>(i),
        Outsb | Outsw | Outsd => handler::<Outs>(i),
        _ => return None,
    })
}

fn handler<O: StringOp>(i: &Instruction) -> Handler {
    let size = i.memory_size().size();
    if i.has_rep_prefix() || i.has_repne_prefix() {
        by_size_to_32!(size, repeated, O)
    } else {
        by_size_to_32!(size, once, O)
    }
}

fn once<O: StringOp, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    O::element::<T>(cpu, biu, insn, Pointers::of(cpu, insn))?;
    step::<O, T>(cpu, insn, 1);
    Ok(())
}

fn repeated<O: StringOp, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let mask = insn.address_mask();
    let mut left = cpu.gpr.full(gpr::CX) & mask;
    if left == 0 {
        return Ok(());
    }
    let mut allowed = cpu.budget_end.saturating_sub(cpu.now()).max(1);
    let finished = loop {
        let at = Pointers::of(cpu, insn);
        let mut done = O::bulk::<T>(cpu, biu, insn, at, left.min(allowed));
        if done == 0 {
            O::element::<T>(cpu, biu, insn, at)?;
            done = 1;
        }
        step::<O, T>(cpu, insn, done);
        left -= done;
        allowed -= done;
        cpu.gpr.set_masked(gpr::CX, mask, left);
        cpu.retired += done;
        if left == 0 || O::COMPARES && cpu.eflags.zf() == (insn.prefix == Prefix::Repne) {
            break true;
        }
        if allowed == 0 || cpu.leave_block != Leave::No {
            break false;
        }
    };
    // The run loop counts the instruction itself.
    cpu.retired -= 1;
    if !finished {
        cpu.rip = cpu.this_ip(insn);
        cpu.repeat_suspended_at = cpu.now() + 1;
    }
    Ok(())
}

/// Steps SI and DI over `n` elements.
#[inline(always)]
fn step<O: StringOp, T: Word>(cpu: &mut Cpu, insn: &Insn, n: Work) {
    let mask = insn.address_mask();
    let bytes = n.wrapping_mul(T::BYTES as u64);
    let delta = if cpu.eflags.has(bit::DF) { bytes.wrapping_neg() } else { bytes };
    for r in [(O::SOURCE, gpr::SI), (O::DESTINATION, gpr::DI)].iter().filter(|r| r.0).map(|r| r.1) {
        cpu.gpr.set_masked(r, mask, cpu.gpr.full(r).wrapping_add(delta));
    }
}

/// Cells of plain RAM that hold consecutive elements, in the direction of DF.
#[derive(Clone, Copy)]
struct Span<'a> {
    cells: &'a [Cell<u8>],
    down: bool,
}

impl<'a> Span<'a> {
    /// The cells of up to `most` elements from `offset` on: as many as lie on the page, within `bounds` and before
    /// the address size wraps. `None` where the first does not, or is not plain RAM.
    #[inline(always)]
    fn new<T: Word, const WRITE: bool>(
        cpu: &Cpu,
        biu: &Biu<'a>,
        insn: &Insn,
        segment: SegReg,
        offset: u64,
        most: Work,
    ) -> Option<Self> {
        let size = T::BYTES as u64;
        let s = &cpu.seg[segment as usize];
        let bounds = if WRITE { s.write } else { s.read };
        if !bounds.contain(offset, T::BYTES) {
            return None;
        }
        let linear = (s.base + offset) & cpu.linear_mask;
        let e = cpu.tlb.entry(cpu.view, linear);
        let tag = if WRITE { e.write } else { e.read };
        if tag != (linear + (size - 1)) & !0xFFF {
            return None;
        }
        let in_page = linear & 0xFFF;
        let down = cpu.eflags.has(bit::DF);
        let room = if down {
            in_page.min(offset - bounds.min as u64) + size
        } else {
            (0x1000 - in_page).min((insn.address_mask().min(bounds.max as u64) + 1).saturating_sub(offset))
        };
        let bytes = (room / size).min(most) * size;
        let low = e.ram + in_page - if down { bytes.saturating_sub(size) } else { 0 };
        let cells = biu.ram.get(low as usize..(low + bytes) as usize)?;
        (bytes > 0).then_some(Span { cells, down })
    }

    #[inline(always)]
    fn source<T: Word>(cpu: &Cpu, biu: &Biu<'a>, insn: &Insn, at: Pointers, most: Work) -> Option<Self> {
        Span::new::<T, false>(cpu, biu, insn, insn.segment, at.source, most)
    }

    #[inline(always)]
    fn destination<T: Word, const WRITE: bool>(
        cpu: &Cpu,
        biu: &Biu<'a>,
        insn: &Insn,
        at: Pointers,
        most: Work,
    ) -> Option<Self> {
        Span::new::<T, WRITE>(cpu, biu, insn, SegReg::Es, at.destination, most)
    }

    /// Two spans, shortened to the length of the shorter.
    #[inline(always)]
    fn matched(self, other: Self) -> (Self, Self) {
        let bytes = self.cells.len().min(other.cells.len());
        (self.first(bytes), other.first(bytes))
    }

    #[inline(always)]
    fn first(self, bytes: usize) -> Self {
        let len = self.cells.len();
        let cells = if self.down { &self.cells[len - bytes..] } else { &self.cells[..bytes] };
        Span { cells, ..self }
    }

    #[inline(always)]
    fn count<T: Word>(self) -> usize {
        self.cells.len() / T::BYTES
    }

    /// The cells of element `n`.
    #[inline(always)]
    fn element<T: Word>(self, n: usize) -> &'a [Cell<u8>] {
        let at = if self.down { self.cells.len() - (n + 1) * T::BYTES } else { n * T::BYTES };
        &self.cells[at..at + T::BYTES]
    }

    #[inline(always)]
    fn get<T: Word>(self, n: usize) -> T {
        T::load(self.element::<T>(n)).unwrap_or(T::from_u64(0))
    }

    #[inline(always)]
    fn set<T: Word>(self, n: usize, value: T) {
        let _ = value.store(self.element::<T>(n));
    }

    /// Whether some cell is in both.
    #[inline(always)]
    fn overlaps(self, other: Self) -> bool {
        let (a, b) = (self.cells.as_ptr_range(), other.cells.as_ptr_range());
        a.start < b.end && b.start < a.end
    }
}

/// MOVS.
#[derive(Clone, Copy, Debug)]
pub struct Movs;
impl StringOp for Movs {
    const SOURCE: bool = true;
    const DESTINATION: bool = true;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers) -> Outcome {
        let v = cpu.read::<T>(biu, insn.segment, at.source)?;
        cpu.write(biu, SegReg::Es, at.destination, v)
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let Some(source) = Span::source::<T>(cpu, biu, insn, at, most) else { return 0 };
        let Some(destination) = Span::destination::<T, true>(cpu, biu, insn, at, most) else { return 0 };
        let (source, destination) = source.matched(destination);
        let count = source.count::<T>();
        if source.overlaps(destination) {
            // What was written is read again: element by element, as the processor does.
            for n in 0..count {
                destination.set(n, source.get::<T>(n));
            }
        } else {
            for (to, from) in destination.cells.iter().zip(source.cells) {
                to.set(from.get());
            }
        }
        count as Work
    }
}

/// STOS.
#[derive(Clone, Copy, Debug)]
pub struct Stos;
impl StringOp for Stos {
    const SOURCE: bool = false;
    const DESTINATION: bool = true;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn, at: Pointers) -> Outcome {
        let v = cpu.gpr.get::<T>(gpr::AX);
        cpu.write(biu, SegReg::Es, at.destination, v)
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let Some(destination) = Span::destination::<T, true>(cpu, biu, insn, at, most) else { return 0 };
        let v = cpu.gpr.get::<T>(gpr::AX);
        for cells in destination.cells.chunks_exact(T::BYTES) {
            let _ = v.store(cells);
        }
        destination.count::<T>() as Work
    }
}

/// LODS.
#[derive(Clone, Copy, Debug)]
pub struct Lods;
impl StringOp for Lods {
    const SOURCE: bool = true;
    const DESTINATION: bool = false;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers) -> Outcome {
        let v = cpu.read::<T>(biu, insn.segment, at.source)?;
        cpu.gpr.set(gpr::AX, v);
        Ok(())
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let Some(source) = Span::source::<T>(cpu, biu, insn, at, most) else { return 0 };
        let count = source.count::<T>();
        // Reading RAM has no effect, so only the last element matters.
        cpu.gpr.set(gpr::AX, source.get::<T>(count - 1));
        count as Work
    }
}

/// Whether the comparison of `a` with `b` ends the repetition.
#[inline(always)]
fn ends<T: Word>(insn: &Insn, a: T, b: T) -> bool {
    (a == b) == (insn.prefix == Prefix::Repne)
}

#[inline(always)]
fn compare<T: Word>(f: &mut Eflags, a: T, b: T) {
    f.set_sub(a, b, T::from_u64(a.zx().wrapping_sub(b.zx())));
}

/// CMPS.
#[derive(Clone, Copy, Debug)]
pub struct Cmps;
impl StringOp for Cmps {
    const SOURCE: bool = true;
    const DESTINATION: bool = true;
    const COMPARES: bool = true;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers) -> Outcome {
        let a = cpu.read::<T>(biu, insn.segment, at.source)?;
        let b = cpu.read::<T>(biu, SegReg::Es, at.destination)?;
        compare(&mut cpu.eflags, a, b);
        Ok(())
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let Some(source) = Span::source::<T>(cpu, biu, insn, at, most) else { return 0 };
        let Some(destination) = Span::destination::<T, false>(cpu, biu, insn, at, most) else { return 0 };
        let (source, destination) = source.matched(destination);
        let last = source.count::<T>() - 1;
        let pair = |n| (source.get::<T>(n), destination.get::<T>(n));
        let n = (0..last).find(|n| ends(insn, pair(*n).0, pair(*n).1)).unwrap_or(last);
        let (a, b) = pair(n);
        compare(&mut cpu.eflags, a, b);
        n as Work + 1
    }
}

/// SCAS.
#[derive(Clone, Copy, Debug)]
pub struct Scas;
impl StringOp for Scas {
    const SOURCE: bool = false;
    const DESTINATION: bool = true;
    const COMPARES: bool = true;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn, at: Pointers) -> Outcome {
        let b = cpu.read::<T>(biu, SegReg::Es, at.destination)?;
        compare(&mut cpu.eflags, cpu.gpr.get::<T>(gpr::AX), b);
        Ok(())
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let Some(destination) = Span::destination::<T, false>(cpu, biu, insn, at, most) else { return 0 };
        let a = cpu.gpr.get::<T>(gpr::AX);
        let last = destination.count::<T>() - 1;
        let n = (0..last).find(|n| ends(insn, a, destination.get(*n))).unwrap_or(last);
        compare(&mut cpu.eflags, a, destination.get(n));
        n as Work + 1
    }
}

/// Whether many items may go through `port` at once: neither denied nor watched.
#[inline(always)]
fn port_is_open<T: Word>(cpu: &mut Cpu, biu: &mut Biu, port: u16) -> bool {
    cpu.check_io(biu, port, T::BYTES).is_ok() && cpu.leave_block == Leave::No
}

/// INS.
#[derive(Clone, Copy, Debug)]
pub struct Ins;
impl StringOp for Ins {
    const SOURCE: bool = false;
    const DESTINATION: bool = true;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn, at: Pointers) -> Outcome {
        let port = cpu.gpr.get::<u16>(gpr::DX);
        cpu.check_io(biu, port, T::BYTES)?;
        // The port must not be read in vain: devices notice.
        let linear = cpu.linear_write(SegReg::Es, at.destination, T::BYTES)?;
        cpu.probe_write(biu, linear, T::BYTES)?;
        let v = biu.bus.port_in(port, T::BYTES, cpu.now());
        cpu.sample_pins(biu);
        cpu.write_linear(biu, linear, T::from_u64(v as u64))
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let port = cpu.gpr.get::<u16>(gpr::DX);
        let Some(destination) = Span::destination::<T, true>(cpu, biu, insn, at, most) else { return 0 };
        if destination.down || destination.count::<T>() == 1 || !port_is_open::<T>(cpu, biu, port) {
            return 0;
        }
        let mut buffer = [0; 4096];
        let items = &mut buffer[..destination.cells.len()];
        let count = biu.bus.port_in_block(port, T::BYTES, items, cpu.now()).min(destination.count::<T>());
        for (cell, byte) in destination.cells.iter().zip(&items[..count * T::BYTES]) {
            cell.set(*byte);
        }
        cpu.sample_pins(biu);
        count as Work
    }
}

/// OUTS.
#[derive(Clone, Copy, Debug)]
pub struct Outs;
impl StringOp for Outs {
    const SOURCE: bool = true;
    const DESTINATION: bool = false;

    #[inline(always)]
    fn element<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers) -> Outcome {
        let port = cpu.gpr.get::<u16>(gpr::DX);
        cpu.check_io(biu, port, T::BYTES)?;
        let v = cpu.read::<T>(biu, insn.segment, at.source)?;
        biu.bus.port_out(port, T::BYTES, v.zx() as u32, cpu.now());
        cpu.sample_pins(biu);
        Ok(())
    }

    #[inline(always)]
    fn bulk<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, at: Pointers, most: Work) -> Work {
        let port = cpu.gpr.get::<u16>(gpr::DX);
        let Some(source) = Span::source::<T>(cpu, biu, insn, at, most) else { return 0 };
        if source.down || source.count::<T>() == 1 || !port_is_open::<T>(cpu, biu, port) {
            return 0;
        }
        let mut buffer = [0; 4096];
        let items = &mut buffer[..source.cells.len()];
        for (byte, cell) in items.iter_mut().zip(source.cells) {
            *byte = cell.get();
        }
        let count = biu.bus.port_out_block(port, T::BYTES, items, cpu.now()).min(source.count::<T>());
        cpu.sample_pins(biu);
        count as Work
    }
}
