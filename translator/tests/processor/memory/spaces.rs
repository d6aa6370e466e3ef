//! Address spaces that are kept over loads of CR3: whatever happened to the page tables meanwhile, by whomever, holds
//! after the load.

mod pae;
mod random;

use super::coherence::{Step, Then, machine, told, visited, *};
use super::{FAR, FRAME, everywhere, to_halt};
use crate::kit::{Kit, place};
use idem86_cpu::state::control::cr4;

/// Page directories; a table for the first 4 MiB is behind each. The first is [`Kit::page`]'s.
const SPACES: [u32; 4] =
    [place::PAGING, place::PAGING + 0x8000, place::PAGING + 0xA000, place::PAGING + 0xC000];
const A: u32 = SPACES[0];
const B: u32 = SPACES[1];
/// Where the entry of [`FAR`] is in the tables of A and B.
const IN_A: u32 = FAR_ENTRY;
const IN_B: u32 = B + 0x1000 + (FAR >> 12) * 4;
/// Page tables that any directory may use for any 4 MiB.
const TABLES: u32 = place::PAGING + 0x1_0000;
const TABLE_COUNT: u32 = 4;
/// Frames of data, each with code to visit.
const FRAMES: u32 = 7;
/// Where in a frame that is.
const CODE: u32 = 0x100;
/// What a page table is for.
const REGION: u32 = 0x40_0000;

/// The directories map the first 4 MiB to themselves, each with a table of its own; frames hold their number.
fn spaces(k: &mut Kit) {
    for directory in &SPACES[1..] {
        for n in 0..1024 {
            k.put32(directory + 0x1000 + n * 4, n << 12 | 7);
        }
        k.put32(*directory, (directory + 0x1000) | 7);
    }
    for n in 0..FRAMES {
        let frame = FRAME + n * 0x1000;
        k.put32(frame, 100 * n);
        k.put(frame + CODE, &visited(n));
    }
}

/// The space in A maps [`FAR`] to the first frame, that in B to the second.
fn far(k: &mut Kit) {
    spaces(k);
    k.put32(IN_A, FRAME | ALL);
    k.put32(IN_B, (FRAME + 0x1000) | ALL);
}

fn is(value: u32) -> (Step, Then) {
    (Is(FAR, u32::MAX, value), Goes)
}

fn load(directory: u32) -> (Step, Then) {
    (LoadCr3(directory), Goes)
}

/// Both spaces become such that are kept, with [`FAR`] written in both; then the story, which begins in B.
fn both(steps: &[(Step, Then)]) -> Vec<(Step, Then)> {
    let round = [load(A), (Write(FAR + 8), Goes), is(0), load(B), (Write(FAR + 8), Goes), is(100)];
    [round, round, round].concat().into_iter().chain(steps.iter().copied()).collect()
}

/// Tells a story that begins with [`both`], and sees to it that spaces are kept.
fn kept(cpl: u8, prepare: impl Fn(&mut Kit), steps: &[(Step, Then)]) {
    told(cpl, prepare, &both(steps), |k| {
        to_halt(k);
        if let Some(counters) = k.engine.counters() {
            assert!(counters.spaces.entered >= 2, "{:?}", counters.spaces);
        }
    });
}

fn at_both_levels(steps: &[(Step, Then)]) {
    kept(0, far, steps);
    kept(3, far, steps);
}

#[test]
fn what_nobody_changed_is_found_again() {
    at_both_levels(&[
        load(A),
        is(0),
        load(B),
        is(100),
        load(B),
        is(100),
        load(A),
        (Modify(FAR), Goes),
        is(1),
    ]);
    told(3, far, &both(&[load(A), is(0), load(B), is(100), load(A), is(0)]), |k| {
        to_halt(k);
        if let Some(counters) = k.engine.counters() {
            let c = counters.spaces;
            assert_eq!((c.begun, c.given_up, c.flushed), (2, 0, 0), "{c:?}");
            assert!(c.entered >= 5 && c.dropped_by_walks == 0, "{c:?}");
        }
    });
}

#[test]
fn entries_that_change_while_away_hold_after_the_return() {
    let user = |cpl: u32| if cpl == 3 { USER } else { 0 };
    for cpl in [0, 3] {
        // Unmapped, mapped elsewhere, fewer rights, more.
        kept(
            cpl as u8,
            far,
            &[
                (Put(IN_A, 0), Goes),
                load(A),
                (Read(FAR), Faults(user(cpl))),
                load(B),
                (Put(IN_A, (FRAME + 0x2000) | ALL), Goes),
                load(A),
                is(200),
                (Write(FAR + 8), Goes),
                load(B),
                (Put(IN_A, (FRAME + 0x2000) | PRESENT | USER), Goes),
                is(100),
                load(A),
                is(200),
                (Write(FAR), Faults(user(cpl) | 3)),
                load(B),
                (Put(IN_A, (FRAME + 0x2000) | ALL), Goes),
                load(A),
                (Write(FAR), Goes),
                is(1),
            ],
        );
    }
    // The supervisor's only.
    kept(
        3,
        far,
        &[
            (Put(IN_A, FRAME | PRESENT | WRITABLE), Goes),
            load(A),
            (Read(FAR), Faults(5)),
            (KernelRead(FAR), Goes),
            load(B),
            (Put(IN_A, FRAME | ALL), Goes),
            load(A),
            is(0),
        ],
    );
}

#[test]
fn a_table_that_both_share_changes_for_both() {
    let shared = |k: &mut Kit| {
        far(k);
        k.put32(B, (A + 0x1000) | 7);
        k.put32(IN_A, FRAME | ALL);
    };
    let round = [load(A), (Write(FAR + 8), Goes), is(0), load(B), (Write(FAR + 8), Goes), is(0)];
    let change = [
        (Put(IN_A, (FRAME + 0x1000) | ALL), Goes),
        (Invalidate(FAR), Goes),
        is(100),
        load(A),
        is(100),
        (Put(IN_A, 0), Goes),
        load(B),
        (Read(FAR), Faults(4)),
        load(A),
        (Read(FAR), Faults(4)),
    ];
    let steps: Vec<_> = [round, round, round].concat().into_iter().chain(change).collect();
    told(3, shared, &steps, |k| {
        to_halt(k);
    });
}

#[test]
fn every_kind_of_store_to_a_table_is_seen() {
    let frame = |n: u32| FRAME + n * 0x1000;
    let quad = u64::from(frame(4) | ALL) << 32 | u64::from(frame(3) | ALL);
    // An alias of A's table in B.
    let alias = FAR + 0x1_0000;
    let prepare = |k: &mut Kit| {
        far(k);
        k.put32(B + 0x1000 + (alias >> 12) * 4, (A + 0x1000) | ALL);
    };
    let steps = [
        // Byte 1 of the entry holds bits 12 to 15 of the frame: 8 becomes 9.
        (PutByte(IN_A + 1, (frame(1) >> 8) as u8), Goes),
        load(A),
        is(100),
        load(B),
        (PutWord(IN_A, (frame(2) | ALL) as u16), Goes),
        load(A),
        is(200),
        load(B),
        (PutQuad(IN_A, quad), Goes),
        load(A),
        is(300),
        (Is(FAR + 0x1000, u32::MAX, 400), Goes),
        load(B),
        (Fill(IN_A, frame(5) | ALL, 3), Goes),
        load(A),
        is(500),
        (Is(FAR + 0x2000, u32::MAX, 500), Goes),
        load(B),
        (Put(alias + (FAR >> 12) * 4, frame(6) | ALL), Goes),
        load(A),
        is(600),
    ];
    kept(0, prepare, &steps);
    kept(3, prepare, &steps);
}

#[test]
fn an_entry_that_is_changed_used_and_changed_back_is_seen() {
    at_both_levels(&[
        load(A),
        is(0),
        (Put(IN_A, (FRAME + 0x2000) | ALL), Goes),
        (Invalidate(FAR), Goes),
        is(200),
        // As it was, but for the bits that the walk set.
        (Put(IN_A, FRAME | ALL | ACCESSED | DIRTY), Goes),
        load(B),
        is(100),
        load(A),
        is(0),
        (Is(FAR + CODE, 0xFF, 0xB8), Goes),
    ]);
}

#[test]
fn accessed_and_dirty_bits_that_were_cleared_while_away_are_set_again() {
    for cpl in [0, 3] {
        kept(
            cpl,
            far,
            &[
                (Is(IN_A, ACCESSED | DIRTY, ACCESSED | DIRTY), Goes),
                (Put(IN_A, FRAME | ALL), Goes),
                load(A),
                is(0),
                (Is(IN_A, ACCESSED | DIRTY, ACCESSED), Goes),
                (Write(FAR + 8), Goes),
                (Is(IN_A, ACCESSED | DIRTY, ACCESSED | DIRTY), Goes),
                load(B),
                (Put(IN_A, FRAME | ALL | ACCESSED), Goes),
                load(A),
                is(0),
                (Is(IN_A, ACCESSED | DIRTY, ACCESSED), Goes),
                (Modify(FAR + 8), Goes),
                (Is(IN_A, ACCESSED | DIRTY, ACCESSED | DIRTY), Goes),
                // The directory's.
                load(B),
                (Put(A, (A + 0x1000) | ALL), Goes),
                load(A),
                is(0),
                (Is(A, ACCESSED, ACCESSED), Goes),
            ],
        );
    }
}

#[test]
fn directory_entries_that_change_while_away_hold_after_the_return() {
    // FAR's counterpart in the second 4 MiB, through two tables.
    const HIGH: u32 = 0x40_0000 + FAR;
    let prepare = |k: &mut Kit| {
        far(k);
        for n in 0..2 {
            k.put32(TABLES + n * 0x1000 + (FAR >> 12) * 4, (FRAME + n * 0x1000) | ALL);
        }
        k.put32(A + 4, TABLES | ALL);
        k.put32(B + 4, TABLES | ALL);
    };
    let high = |value| (Is(HIGH, u32::MAX, value), Goes);
    for cpl in [0, 3] {
        let user = if cpl == 3 { USER } else { 0 };
        kept(
            cpl,
            prepare,
            &[
                high(0),
                load(A),
                high(0),
                load(B),
                (Put(A + 4, (TABLES + 0x1000) | ALL), Goes),
                load(A),
                high(100),
                load(B),
                high(0),
                // The table that A left is memory like any other.
                (Put(TABLES + 8, 0x1234), Goes),
                (Put(A + 4, 0), Goes),
                load(A),
                (Read(HIGH), Faults(user)),
                load(B),
                (Put(A + 4, (TABLES + 0x1000) | PRESENT | USER), Goes),
                load(A),
                high(100),
                (Write(HIGH), Faults(user | 3)),
            ],
        );
    }
}

#[test]
fn large_pages_change_as_others_do() {
    const HIGH: u32 = 0x40_0000;
    const LARGE: u32 = 0x80;
    let prepare = |k: &mut Kit| {
        far(k);
        k.cpu.cr4 |= cr4::PSE;
        k.put32(TABLES + (FRAME >> 12) * 4, (FRAME + 0x3000) | ALL);
        // The second 4 MiB are the first again, by one entry.
        for directory in [A, B] {
            k.put32(directory + 4, ALL | LARGE);
        }
    };
    let high = |value| (Is(HIGH + FRAME, u32::MAX, value), Goes);
    kept(
        3,
        prepare,
        &[
            high(0),
            (Write(HIGH + FRAME + 8), Goes),
            load(A),
            high(0),
            (Write(HIGH + FRAME + 8), Goes),
            (Is(A + 4, ACCESSED | DIRTY, ACCESSED | DIRTY), Goes),
            (Put(B + 4, TABLES | ALL), Goes),
            load(B),
            high(300),
            (Put(A + 4, ALL | LARGE), Goes),
            load(A),
            high(0),
            (Is(A + 4, ACCESSED | DIRTY, ACCESSED), Goes),
            (Put(B + 4, PRESENT | USER | LARGE), Goes),
            load(B),
            high(0),
            (Write(HIGH + FRAME), Faults(7)),
        ],
    );
}

#[test]
fn code_is_that_of_the_present_space() {
    let visit = |number: u32| [(Visit(FAR + CODE), Goes), is(100 * number)];
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.extend(visit(1));
        steps.push(load(A));
        steps.extend(visit(0));
        steps.push(load(B));
    }
    steps.push((Put(IN_A, (FRAME + 0x2000) | ALL), Goes));
    steps.push(load(A));
    steps.extend(visit(2));
    // What is executed says so itself.
    for cpl in [0, 3] {
        kept(cpl, far, &steps);
        let numbers: Vec<u32> = [1, 0].repeat(3).into_iter().chain([2]).collect();
        let all = both(&steps);
        let k = everywhere("code", || machine(cpl, far, &all), |k| _ = to_halt(k));
        let found = all.iter().enumerate().filter(|(_, s)| matches!(s.0, Visit(_)));
        let found: Vec<u32> = found.map(|(n, _)| k.get32(logged(n))).collect();
        assert_eq!(found, numbers);
    }
}

#[test]
fn global_pages_go_with_an_invalidation_whatever_the_space() {
    let prepare = |k: &mut Kit| {
        far(k);
        for entry in [IN_A, IN_B] {
            k.put32(entry + 4, (FRAME + 0x2000) | ALL | GLOBAL);
        }
    };
    let global = |value| (Is(FAR + 0x1000, u32::MAX, value), Goes);
    for cpl in [0, 3] {
        kept(
            cpl,
            prepare,
            &[
                global(200),
                load(A),
                global(200),
                (Write(FAR + 0x1008), Goes),
                load(B),
                (Put(IN_A + 4, (FRAME + 0x3000) | ALL | GLOBAL), Goes),
                (Put(IN_B + 4, (FRAME + 0x3000) | ALL | GLOBAL), Goes),
                (Invalidate(FAR + 0x1000), Goes),
                global(300),
                load(A),
                global(300),
                (ToggleGlobalPages, Goes),
                global(300),
                (Put(IN_A + 4, (FRAME + 0x4000) | ALL), Goes),
                load(A),
                global(400),
            ],
        );
    }
}

#[test]
fn tables_that_map_themselves_are_tables_and_data() {
    // Entry 1023 of A's directory is the directory: its table is at FFC00000h.
    let prepare = |k: &mut Kit| {
        far(k);
        k.put32(A + 1023 * 4, A | ALL);
        k.put32(B + 1023 * 4, B | ALL);
    };
    let entry = 0xFFC0_0000 + (FAR >> 12) * 4;
    for cpl in [0, 3] {
        kept(
            cpl,
            prepare,
            &[
                (Put(entry, (FRAME + 0x2000) | ALL), Goes),
                (Invalidate(FAR), Goes),
                is(200),
                load(A),
                (Is(entry, 0xFFFF_F000, FRAME), Goes),
                is(0),
                (Put(entry, (FRAME + 0x3000) | ALL), Goes),
                load(B),
                is(200),
                load(A),
                is(300),
                // The directory's own entry for the table, through itself; then the table is another.
                (Put(TABLES + (FAR >> 12) * 4, (FRAME + 0x4000) | ALL), Goes),
                (Put(0xFFFF_F000 + 4, TABLES | ALL), Goes),
                (Is(0x40_0000 + FAR, u32::MAX, 400), Goes),
                load(B),
                load(A),
                (Is(0x40_0000 + FAR, u32::MAX, 400), Goes),
            ],
        );
    }
}

#[test]
fn a_table_that_was_freed_is_memory() {
    let other = B + 0x1000;
    // B goes; its table becomes data of A, then B comes back with it as it is then.
    at_both_levels(&[
        load(A),
        (Put(B, 0), Goes),
        (Fill(other, (FRAME + 0x5000) | ALL, 1024), Goes),
        (Is(other + 0x7FC, u32::MAX, (FRAME + 0x5000) | ALL), Goes),
        (Fill(other, 0, 1024), Goes),
        (Put(B, (A + 0x1000) | ALL), Goes),
        load(B),
        is(0),
        load(A),
        is(0),
    ]);
}

#[test]
fn what_the_host_and_devices_write_to_tables_is_seen() {
    let steps = both(&[
        (Halt, Goes),
        load(A),
        is(200),
        (Write(FAR + 8), Goes),
        load(B),
        (Halt, Goes),
        load(A),
        is(0),
    ]);
    told(0, far, &steps, |k| {
        for entry in [FRAME + 0x2000, FRAME] {
            to_halt(k);
            k.put32(IN_A, entry | ALL);
            k.cpu.halted = false;
        }
        to_halt(k);
    });
}

#[test]
fn a_machine_that_is_put_back_has_the_tables_of_then() {
    let after = [
        (Halt, Goes),
        (Put(IN_A, (FRAME + 0x2000) | ALL), Goes),
        load(A),
        is(200),
        (Write(FAR + 8), Goes),
        load(B),
        is(100),
    ];
    told(0, far, &both(&after), |k| {
        to_halt(k);
        let (state, ram) = (k.cpu.save(), k.ram.clone());
        for _ in 0..3 {
            k.cpu.halted = false;
            to_halt(k);
            k.cpu.rewind(&state).expect("it was saved");
            k.ram.copy_from_slice(&ram);
            let size = ram.len() as u64;
            k.cpu.ram_written(0, size);
        }
        k.cpu.halted = false;
        to_halt(k);
    });
}

/// Tells a story at both levels in which code at [`FAR`] says `numbers`, one after the other; `each` looks at every
/// machine at the end.
fn visits(prepare: impl Fn(&mut Kit), steps: &[(Step, Then)], numbers: &[u32], each: impl Fn(&Kit)) {
    for cpl in [0, 3] {
        told(cpl, &prepare, steps, |k| {
            to_halt(k);
            let visits = steps.iter().enumerate().filter(|(_, s)| matches!(s.0, Visit(_)));
            let found: Vec<u32> = visits.map(|(n, _)| k.get32(logged(n))).collect();
            assert_eq!(found, numbers, "CPL {cpl}");
            each(k);
        });
    }
}

#[test]
fn a_space_that_gives_way_to_another_leaves_nothing_behind() {
    let directory = |n: u32| place::PAGING + 0x2000 * n;
    let prepare = |k: &mut Kit| {
        spaces(k);
        for n in 0..9 {
            (0..1024).for_each(|page| k.put32(directory(n) + 0x1000 + page * 4, page << 12 | 7));
            k.put32(directory(n), (directory(n) + 0x1000) | 7);
            let entry = directory(n) + 0x1000 + (FAR >> 12) * 4;
            k.put32(entry, (FRAME + n % FRAMES * 0x1000) | ALL);
        }
    };
    // Eight are kept, then the first is not entered for long; the ninth takes its place.
    let visit = |n: u32| [load(directory(n)), (Visit(FAR + CODE), Goes), is(100 * (n % FRAMES))];
    let twice: Vec<u32> = (0..8).flat_map(|n| [n, n]).collect();
    let others = (0..40).map(|n| load(directory(1 + n % 7)));
    let mut steps: Vec<_> = twice.iter().flat_map(|n| visit(*n)).chain(others).collect();
    let last = [8, 8, 0, 8];
    steps.extend(last.into_iter().flat_map(visit));
    let numbers: Vec<u32> = twice.into_iter().chain(last).map(|n| n % FRAMES).collect();
    visits(prepare, &steps, &numbers, |k| {
        if let Some(c) = k.engine.counters().map(|c| c.spaces) {
            assert_eq!((c.begun, c.replaced, c.given_up), (9, 1, 0), "{c:?}");
        }
    });
}

#[test]
fn a_space_that_takes_too_much_goes_on_as_any_other() {
    // The same table for more regions than a table may have uses.
    const REGIONS: u32 = 40;
    let prepare = |k: &mut Kit| {
        far(k);
        k.put32(TABLES + (FAR >> 12) * 4, (FRAME + 0x2000) | ALL);
        (1..=REGIONS).for_each(|n| k.put32(A + n * 4, TABLES | ALL));
    };
    let mut steps = both(&[load(A), (Visit(FAR + CODE), Goes)]);
    steps.extend((1..=REGIONS).map(|n| (Is(n * REGION + FAR, u32::MAX, 200), Goes)));
    steps.extend([
        (Visit(FAR + CODE), Goes),
        is(0),
        (Put(IN_A, (FRAME + 0x3000) | ALL), Goes),
        load(B),
        is(100),
        (Visit(FAR + CODE), Goes),
        load(A),
        is(300),
        (Visit(FAR + CODE), Goes),
        (Put(IN_A, (FRAME + 0x4000) | ALL), Goes),
        (Invalidate(FAR), Goes),
        is(400),
        (Visit(FAR + CODE), Goes),
    ]);
    visits(prepare, &steps, &[0, 0, 1, 3, 4], |k| {
        if let Some(c) = k.engine.counters().map(|c| c.spaces) {
            assert!(c.given_up >= 1, "{c:?}");
        }
    });
}
