//! Spaces under PAE paging: page-directory pointers, execute-disable, pages of 2 MiB.

use super::*;
use idem86_cpu::state::control::efer;

/// PAE paging: page-directory-pointer tables, their first directories, and where the entry of [`FAR`] is, for two spaces.
const PAE: [(u32, u32, u32); 2] = [
    (place::PAGING, place::PAGING + 0x1000, place::PAGING + 0x3000),
    (place::PAGING + 0xA000, place::PAGING + 0x8000, place::PAGING + 0x9000),
];

/// As [`far`], with PAE paging and execute-disable.
fn far_pae(k: &mut Kit) {
    spaces(k);
    k.page_pae();
    k.cpu.efer = efer::NXE;
    k.cpu.state_changed();
    let [_, (pointers, directory, entry)] = PAE;
    (0..512).for_each(|n| k.put64(entry + 8 * n, u64::from((FAR + n * 0x1000) | ALL)));
    k.put64(pointers, u64::from(directory | PRESENT));
    (1..4).for_each(|n| k.put64(pointers + 8 * n, 0));
    k.put64(directory, u64::from((place::PAGING + 0x2000) | ALL));
    k.put64(directory + 8, u64::from(entry | ALL));
    for (n, (_, _, entry)) in (0..).zip(PAE) {
        k.put64(entry, u64::from((FRAME + n * 0x1000) | ALL));
    }
}

/// As [`both`], with PAE paging.
fn both_pae(steps: &[(Step, Then)]) -> Vec<(Step, Then)> {
    let [(a, ..), (b, ..)] = PAE;
    let round = [load(a), (Write(FAR + 8), Goes), is(0), load(b), (Write(FAR + 8), Goes), is(100)];
    [round, round, round].concat().into_iter().chain(steps.iter().copied()).collect()
}

#[test]
fn page_directory_pointers_hold_from_the_load_of_cr3_on() {
    let [(a, directory_a, _), (b, directory_b, _)] = PAE;
    let steps = both_pae(&[
        load(a),
        is(0),
        (Put(a, directory_b | PRESENT), Goes),
        is(0),
        (Invalidate(FAR), Goes),
        is(0),
        (Visit(FAR + CODE), Goes),
        load(a),
        is(100),
        (Visit(FAR + CODE), Goes),
        (Put(a, directory_a | PRESENT), Goes),
        is(100),
        load(b),
        is(100),
        load(a),
        is(0),
        (Visit(FAR + CODE), Goes),
    ]);
    visits(far_pae, &steps, &[0, 1, 0], |_| ());
}

#[test]
fn execute_disable_that_changes_while_away_holds_after_the_return() {
    const DISABLED: u32 = 1 << 31;
    let [(a, directory, entry), (b, ..)] = PAE;
    for cpl in [0, 3] {
        let denied = (Visit(FAR + CODE), Faults(0x11 | if cpl == 3 { USER } else { 0 }));
        let mut steps = vec![load(a), (Visit(FAR + CODE), Goes)];
        // The page's own entry, then the directory's.
        for high in [entry + 4, directory + 8 + 4] {
            steps.extend([load(b), (Put(high, DISABLED), Goes), load(a), denied, is(0)]);
            steps.extend([load(b), (Put(high, 0), Goes), load(a), (Visit(FAR + CODE), Goes), is(0)]);
        }
        told(cpl, far_pae, &both_pae(&steps), |k| _ = to_halt(k));
    }
}

#[test]
fn pages_of_2_mib_change_as_others_do() {
    const HIGH: u32 = 0x40_0000;
    const LARGE: u32 = 0x80;
    let [(a, directory, _), (b, ..)] = PAE;
    let at = directory + 16;
    let prepare = |k: &mut Kit| {
        far_pae(k);
        k.put64(at, u64::from(ALL | LARGE));
        k.put64(TABLES + (FRAME >> 12) * 8, u64::from((FRAME + 0x3000) | ALL));
    };
    let high = |value| (Is(HIGH + FRAME, u32::MAX, value), Goes);
    let mut steps = vec![load(a), high(0), (Write(HIGH + FRAME + 8), Goes)];
    for _ in 0..2 {
        steps.extend([load(b), (Put(at, TABLES | ALL), Goes), load(a), high(300)]);
        steps.extend([load(b), (Put(at, ALL | LARGE), Goes), load(a), high(0)]);
    }
    steps.extend([(Put(at, TABLES | ALL), Goes), (Invalidate(HIGH + FRAME), Goes), high(300)]);
    for cpl in [0, 3] {
        told(cpl, prepare, &both_pae(&steps), |k| _ = to_halt(k));
    }
}
