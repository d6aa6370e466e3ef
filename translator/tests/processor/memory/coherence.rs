//! Translations that change: what an access may do is what the page tables say, as soon as the manual says so.

use super::{FAR, FRAME, everywhere, to_halt};
use crate::kit::{Kit, asm, gate, place, rights, sel};
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// Where faults are counted, and what is known of the last.
const FAULTS: u32 = place::DATA;
const ERROR: u32 = place::DATA + 4;
/// What each step found: faults, and a value.
const LOG: u32 = place::DATA + 0x1000;

/// One step of a story, taken by code of the story's level.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Read(u32),
    Write(u32),
    Modify(u32),
    /// The same by the kernel.
    KernelRead(u32),
    KernelWrite(u32),
    /// The entry of a page becomes this.
    Entry(u32, u32),
    /// Memory becomes this: a doubleword, a byte, a word, eight bytes by one access.
    Put(u32, u32),
    PutByte(u32, u8),
    PutWord(u32, u16),
    PutQuad(u32, u64),
    /// So many doublewords become this, by REP STOSD.
    Fill(u32, u32, u32),
    /// Goes to code there that says in EAX where it is, and goes back.
    Visit(u32),
    /// The story stands still until the host goes on; at CPL 0.
    Halt,
    Invalidate(u32),
    LoadCr3(u32),
    ToggleWriteProtect,
    ToggleGlobalPages,
    /// Some bits of a doubleword (of an entry, mostly) must be this.
    Is(u32, u32, u32),
}
pub(super) use Step::*;

/// What a step leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Goes,
    /// #PF with this error code.
    Faults(u32),
}
pub(super) use Then::*;

/// What [`Visit`] needs: a number in EAX, and back.
pub(super) fn visited(number: u32) -> Vec<u8> {
    asm(32, |a| {
        a.mov(eax, number)?;
        a.jmp(edx)
    })
}

/// Service of the kernel: EAX says which, EDX is an address.
const SERVICE: u8 = 0x40;

fn kernel(k: &mut Kit) {
    let service = asm(32, |a| {
        let mut labels = [(); 6].map(|()| a.create_label());
        let mut done = a.create_label();
        for (n, label) in labels.iter().enumerate() {
            a.cmp(eax, n as i32)?;
            a.je(*label)?;
        }
        a.hlt()?;
        a.set_label(&mut labels[0])?;
        a.invlpg(byte_ptr(edx))?;
        a.jmp(done)?;
        a.set_label(&mut labels[1])?;
        a.mov(cr3, edx)?;
        a.jmp(done)?;
        a.set_label(&mut labels[2])?;
        a.mov(ebp, cr0)?;
        a.xor(ebp, cr0::WP as i32)?;
        a.mov(cr0, ebp)?;
        a.jmp(done)?;
        a.set_label(&mut labels[3])?;
        a.mov(ebp, cr4)?;
        a.xor(ebp, cr4::PGE as i32)?;
        a.mov(cr4, ebp)?;
        a.jmp(done)?;
        a.set_label(&mut labels[4])?;
        // Six bytes, as all that may fault.
        a.db(&[0x8D, 0x92, 0, 0, 0, 0, 0x8B, 0xAA, 0, 0, 0, 0])?;
        a.jmp(done)?;
        a.set_label(&mut labels[5])?;
        a.db(&[0x89, 0xBA, 0, 0, 0, 0])?;
        a.jmp(done)?;
        a.set_label(&mut done)?;
        a.iretd()
    });
    // Counts, keeps the error code, skips the instruction; or goes back from a visit.
    let page_fault = asm(32, |a| {
        let mut data = a.create_label();
        a.inc(dword_ptr(FAULTS))?;
        a.pop(dword_ptr(ERROR))?;
        a.mov(eax, cr2)?;
        a.cmp(eax, dword_ptr(esp))?;
        a.jne(data)?;
        a.mov(dword_ptr(esp), edx)?;
        a.iretd()?;
        a.set_label(&mut data)?;
        a.add(dword_ptr(esp), 6)?;
        a.iretd()
    });
    k.put(place::HANDLERS + 0x800, &service);
    k.put(place::HANDLERS + 0xA00, &page_fault);
    for (vector, at) in [(SERVICE, 0x800), (14, 0xA00)] {
        k.set_gate(vector, gate(sel::CODE0, place::HANDLERS + at, rights::INTERRUPT32 | rights::DPL3, 0));
    }
}

/// The code of a story; a log entry for each step.
fn code(steps: &[(Step, Then)], pte: impl Fn(u32) -> u32) -> Vec<u8> {
    asm(32, |a| {
        let service = |a: &mut CodeAssembler, n: i32, at: u32| {
            a.mov(eax, n)?;
            a.mov(edx, at)?;
            a.int(i32::from(SERVICE))
        };
        for (n, (step, _)) in steps.iter().enumerate() {
            let log = LOG + 8 * n as u32;
            match *step {
                Read(at) => a.mov(ebp, dword_ptr(at))?,
                Write(at) => a.mov(dword_ptr(at), edi)?,
                Modify(at) => a.add(dword_ptr(at), edi)?,
                Entry(at, value) => a.mov(dword_ptr(pte(at)), value)?,
                Is(at, mask, _) => {
                    a.mov(ebp, dword_ptr(at))?;
                    a.and(ebp, mask)?;
                    a.mov(dword_ptr(log + 4), ebp)?;
                }
                Put(at, value) => a.mov(dword_ptr(at), value)?,
                PutByte(at, value) => a.mov(byte_ptr(at), u32::from(value))?,
                PutWord(at, value) => a.mov(word_ptr(at), u32::from(value))?,
                PutQuad(at, value) => {
                    a.mov(dword_ptr(log), value as u32)?;
                    a.mov(dword_ptr(log + 4), (value >> 32) as u32)?;
                    a.movq(mm0, qword_ptr(log))?;
                    a.movq(qword_ptr(at), mm0)?;
                }
                Fill(at, value, count) => {
                    a.mov(edi, at)?;
                    a.mov(eax, value)?;
                    a.mov(ecx, count)?;
                    a.rep().stosd()?;
                    a.mov(edi, 1)?;
                }
                Visit(at) => {
                    let mut here = a.create_label();
                    a.call(here)?;
                    a.set_label(&mut here)?;
                    a.pop(edx)?;
                    // To behind the jump.
                    a.add(edx, 11)?;
                    a.mov(ecx, at)?;
                    a.jmp(ecx)?;
                    a.mov(dword_ptr(log + 4), eax)?;
                }
                Halt => a.hlt()?,
                Invalidate(at) => service(a, 0, at)?,
                LoadCr3(at) => service(a, 1, at)?,
                ToggleWriteProtect => service(a, 2, 0)?,
                ToggleGlobalPages => service(a, 3, 0)?,
                KernelRead(at) => service(a, 4, at)?,
                KernelWrite(at) => service(a, 5, at)?,
            }
            a.mov(eax, dword_ptr(FAULTS))?;
            a.mov(dword_ptr(log), eax)?;
            if !matches!(step, Is(..) | Visit(_)) {
                a.mov(eax, dword_ptr(ERROR))?;
                a.mov(dword_ptr(log + 4), eax)?;
            }
        }
        a.hlt()
    })
}

fn story(cpl: u8, prepare: impl Fn(&mut Kit), steps: &[(Step, Then)]) {
    told(cpl, prepare, steps, |k| {
        to_halt(k);
    });
}

/// Where step `n` leaves what it found.
pub(super) fn logged(n: usize) -> u32 {
    LOG + 8 * n as u32 + 4
}

/// A story with what the host does meanwhile: it begins, goes on after each [`Halt`], and ends with a HLT.
pub(super) fn told(cpl: u8, prepare: impl Fn(&mut Kit), steps: &[(Step, Then)], run: impl Fn(&mut Kit)) {
    let k = everywhere(&format!("{steps:?}"), || machine(cpl, &prepare, steps), run);
    let mut faults = 0;
    for (n, (step, then)) in steps.iter().enumerate() {
        let at = LOG + 8 * n as u32;
        faults += u32::from(*then != Goes);
        assert_eq!(k.get32(at), faults, "faults until step {n} {step:?} of {steps:?}");
        match (step, then) {
            (Is(_, _, value), _) => assert_eq!(k.get32(at + 4), *value, "step {n} {step:?} of {steps:?}"),
            (Visit(_), _) => {}
            (_, Faults(code)) => assert_eq!(k.get32(at + 4), *code, "step {n} {step:?} of {steps:?}"),
            _ => {}
        }
    }
}

/// The machine at the beginning of a story.
pub(super) fn machine(cpl: u8, prepare: impl Fn(&mut Kit), steps: &[(Step, Then)]) -> Kit {
    let mut k = Kit::protected(cpl);
    kernel(&mut k);
    k.page();
    prepare(&mut k);
    let code = code(steps, |at| k.pte(at));
    assert!(code.len() < (place::DATA - place::CODE) as usize, "the story is too long");
    k.put(place::CODE, &code);
    k.cpu.gpr.set(gpr::DI, 1u32);
    k.cpu.cr0 |= cr0::WP;
    k.cpu.cr4 |= cr4::PGE;
    k.cpu.state_changed();
    k
}

pub(super) const PRESENT: u32 = 1;
pub(super) const WRITABLE: u32 = 2;
pub(super) const USER: u32 = 4;
pub(super) const ACCESSED: u32 = 0x20;
pub(super) const DIRTY: u32 = 0x40;
pub(super) const GLOBAL: u32 = 0x100;
pub(super) const ALL: u32 = PRESENT | WRITABLE | USER;
/// Address of the entry of [`FAR`], which is as [`Kit::pte`] says.
pub(super) const FAR_ENTRY: u32 = place::PAGING + 0x1000 + (FAR >> 12) * 4;

#[test]
fn more_rights_need_no_invalidation() {
    for cpl in [0, 3] {
        let user = if cpl == 3 { 4 } else { 0 };
        story(
            cpl,
            |_| (),
            &[
                (Entry(FAR, 0), Goes),
                (Invalidate(FAR), Goes),
                (Read(FAR), Faults(user)),
                (Entry(FAR, FRAME | PRESENT | USER), Goes),
                (Read(FAR), Goes),
                (Read(FAR + 8), Goes),
                (Write(FAR), Faults(user | 3)),
                (Modify(FAR), Faults(user | 3)),
                (Entry(FAR, FRAME | ALL), Goes),
                (Write(FAR), Goes),
                (Modify(FAR), Goes),
                (Is(FRAME, u32::MAX, 2), Goes),
            ],
        );
    }
}

#[test]
fn fewer_rights_hold_after_an_invalidation() {
    for cpl in [0, 3] {
        let user = if cpl == 3 { 4 } else { 0 };
        story(
            cpl,
            |_| (),
            &[
                (Entry(FAR, FRAME | ALL), Goes),
                (Invalidate(FAR), Goes),
                (Write(FAR), Goes),
                (Write(FAR + 4), Goes),
                (Entry(FAR, FRAME | PRESENT | USER), Goes),
                (Invalidate(FAR), Goes),
                (Read(FAR), Goes),
                (Write(FAR), Faults(user | 3)),
                (Entry(FAR, 0), Goes),
                (Invalidate(FAR + 0x123), Goes),
                (Read(FAR), Faults(user)),
                (Write(FAR), Faults(user | 2)),
                (Entry(FAR, (FRAME + 0x1000) | ALL), Goes),
                (Write(FAR), Goes),
                (Is(FRAME + 0x1000, u32::MAX, 1), Goes),
            ],
        );
    }
}

#[test]
fn accessed_and_dirty_bits_are_set_when_they_are_due() {
    for cpl in [0, 3] {
        story(
            cpl,
            |_| (),
            &[
                (Entry(FAR, FRAME | ALL), Goes),
                (Invalidate(FAR), Goes),
                (Is(FAR_ENTRY, ACCESSED | DIRTY, 0), Goes),
                (Read(FAR), Goes),
                (Read(FAR + 4), Goes),
                (Is(FAR_ENTRY, ACCESSED | DIRTY, ACCESSED), Goes),
                (Write(FAR), Goes),
                (Is(FAR_ENTRY, ACCESSED | DIRTY, ACCESSED | DIRTY), Goes),
                // Clean again: the next write says so.
                (Entry(FAR, FRAME | ALL), Goes),
                (Invalidate(FAR), Goes),
                (Read(FAR), Goes),
                (Is(FAR_ENTRY, ACCESSED | DIRTY, ACCESSED), Goes),
                (Modify(FAR), Goes),
                (Is(FAR_ENTRY, ACCESSED | DIRTY, ACCESSED | DIRTY), Goes),
            ],
        );
    }
}

#[test]
fn a_user_cannot_do_what_the_kernel_just_did() {
    story(
        3,
        |_| (),
        &[
            (Entry(FAR, FRAME | PRESENT | WRITABLE), Goes),
            (Invalidate(FAR), Goes),
            (KernelRead(FAR), Goes),
            (KernelWrite(FAR), Goes),
            (Read(FAR), Faults(5)),
            (Read(FAR), Faults(5)),
            (Write(FAR), Faults(7)),
            (Write(FAR), Faults(7)),
            (Modify(FAR + 8), Faults(7)),
            (KernelWrite(FAR), Goes),
            (Write(FAR), Faults(7)),
            (Is(FRAME, u32::MAX, 1), Goes),
        ],
    );
}

#[test]
fn the_kernel_writes_read_only_pages_without_write_protect_but_the_user_does_not() {
    story(
        3,
        |_| (),
        &[
            (Entry(FAR, FRAME | PRESENT | USER), Goes),
            (Invalidate(FAR), Goes),
            (KernelWrite(FAR), Faults(3)),
            (ToggleWriteProtect, Goes),
            (KernelWrite(FAR), Goes),
            (KernelWrite(FAR), Goes),
            (Read(FAR), Goes),
            (Write(FAR), Faults(7)),
            (Modify(FAR), Faults(7)),
            (ToggleWriteProtect, Goes),
            (KernelWrite(FAR), Faults(3)),
            (Write(FAR), Faults(7)),
        ],
    );
}

#[test]
fn global_pages_stay_over_a_load_of_cr3_and_others_do_not() {
    let directory = place::PAGING;
    story(
        3,
        |_| (),
        &[
            (Entry(FAR, FRAME | ALL | GLOBAL), Goes),
            (Entry(FAR + 0x1000, FRAME | ALL), Goes),
            (Invalidate(FAR), Goes),
            (Invalidate(FAR + 0x1000), Goes),
            (Write(FAR), Goes),
            (Write(FAR + 0x1000), Goes),
            (Entry(FAR + 0x1000, 0), Goes),
            (LoadCr3(directory), Goes),
            (Write(FAR), Goes),
            (Write(FAR + 0x1000), Faults(6)),
            (Entry(FAR, 0), Goes),
            (Invalidate(FAR), Goes),
            (Write(FAR), Faults(6)),
            (Entry(FAR, FRAME | ALL | GLOBAL), Goes),
            (Write(FAR), Goes),
            (Entry(FAR, 0), Goes),
            // Changing CR4.PGE forgets everything.
            (ToggleGlobalPages, Goes),
            (Write(FAR), Faults(6)),
        ],
    );
}

#[test]
fn address_spaces_keep_apart() {
    // A second directory whose second table shows other frames at the same addresses.
    const OTHER: u32 = place::PAGING + 0x8000;
    const TABLE: u32 = OTHER + 0x1000;
    let prepare = |k: &mut Kit| {
        for n in 0..1024 {
            let entry = k.get32(place::PAGING + 0x1000 + n * 4);
            k.put32(TABLE + n * 4, entry);
        }
        k.put32(OTHER, TABLE | 7);
        k.put32(k.pte(FAR), FRAME | 7);
        k.put32(TABLE + (FAR >> 12) * 4, (FRAME + 0x1000) | 7);
        k.put32(FRAME, 100);
        k.put32(FRAME + 0x1000, 200);
    };
    let mut steps = Vec::new();
    for n in 0..4 {
        steps.extend([
            (LoadCr3(place::PAGING), Goes),
            (Is(FAR, u32::MAX, 100 + n), Goes),
            (Modify(FAR), Goes),
            (LoadCr3(OTHER), Goes),
            (Is(FAR, u32::MAX, 200 + n), Goes),
            (Modify(FAR), Goes),
        ]);
    }
    story(3, prepare, &steps);
    story(0, prepare, &steps);
}

#[test]
fn entries_can_be_changed_through_the_table_that_maps_itself() {
    // Entry 1023 of the directory is the directory.
    let prepare = |k: &mut Kit| k.put32(place::PAGING + 1023 * 4, place::PAGING | 7);
    let far_entry = 0xFFC0_0000 + (FAR >> 12) * 4;
    story(
        3,
        prepare,
        &[
            (Is(far_entry, 0xFFFF_F000, FAR), Goes),
            (Entry(FAR, FRAME | ALL), Goes),
            (Invalidate(FAR), Goes),
            (Write(FAR), Goes),
            (Is(far_entry, 0xFFFF_F000 | DIRTY, FRAME | DIRTY), Goes),
            // The table's own page: a user page like any other.
            (Write(far_entry), Goes),
            (Invalidate(FAR), Goes),
            (Is(FAR_ENTRY, u32::MAX, 1), Goes),
            (Read(FAR), Faults(5)),
        ],
    );
}

#[test]
fn aliases_are_the_same_memory() {
    let alias = FAR + 0x5000;
    story(
        3,
        |_| (),
        &[
            (Entry(FAR, FRAME | ALL), Goes),
            (Entry(alias, FRAME | ALL), Goes),
            (Invalidate(FAR), Goes),
            (Invalidate(alias), Goes),
            (Write(FAR), Goes),
            (Modify(alias), Goes),
            (Modify(FAR), Goes),
            (Is(alias, u32::MAX, 3), Goes),
            (Entry(alias, (FRAME + 0x1000) | ALL), Goes),
            (Invalidate(alias), Goes),
            (Write(alias), Goes),
            (Is(FAR, u32::MAX, 3), Goes),
            (Is(FRAME + 0x1000, u32::MAX, 1), Goes),
        ],
    );
}

#[test]
fn a20_takes_effect_at_once() {
    let build = || {
        let mut k = Kit::real();
        k.cpu.seg[SegReg::Ds as usize].selector = 0xFFFF;
        k.cpu.seg[SegReg::Ds as usize].base = 0xF_FFF0;
        k.cpu.state_changed();
        // INC word DS:[510h], which is 100500h or 500h, for ever.
        k.put(place::CODE, &[0xFF, 0x06, 0x10, 0x05, 0xEB, 0xFA]);
        k
    };
    let k = everywhere("A20", build, |k| {
        for n in 0..6 {
            k.bus.a20 = n % 2 == 0;
            k.run(40);
        }
    });
    assert_eq!((k.get16(0x500), k.get16(0x10_0500)), (60, 60));
}
