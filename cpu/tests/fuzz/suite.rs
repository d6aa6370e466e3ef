//! The tests, each of many random cases.

mod entropy;
mod scenario;
mod world;

use entropy::Random;
use scenario::Mode;

/// Units of work in a scenario.
const WORK: u64 = 3000;
/// Bytes that decide a scenario.
const BYTES: usize = 8192;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().expect("a number"))
}

/// Says which case it was when a check panics.
struct Case<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: IDEM86_FUZZ_RUNS=1 IDEM86_FUZZ_SEED={}", self.name, self.seed);
        }
    }
}

fn cases(name: &str, default: u64, check: impl Fn(u64)) {
    let first = setting("IDEM86_FUZZ_SEED", 1);
    for seed in first..first + setting("IDEM86_FUZZ_RUNS", default) {
        let _case = Case { name, seed };
        check(seed);
    }
}

fn run(mode: Mode) {
    cases(&format!("{mode:?}"), 300, |seed| scenario::check(mode, &Random::new(seed).bytes(BYTES), WORK));
}

#[test]
fn real_mode() {
    run(Mode::Real);
}

#[test]
fn protected_mode_16_bit() {
    run(Mode::Protected16);
}

#[test]
fn protected_mode_32_bit() {
    run(Mode::Protected32);
}

#[test]
fn virtual_8086_mode() {
    run(Mode::Virtual8086);
}

#[test]
fn paging_32_bit() {
    run(Mode::Paged32);
}

#[test]
fn paging_pae() {
    run(Mode::PagedPae);
}

#[test]
fn decoder() {
    cases("decoder", 300, |seed| {
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let mut bytes = random.bytes(20);
            // Prefixes and escapes more often than chance gives them.
            let frequent = random.next() as usize % 6;
            for byte in &mut bytes[..frequent] {
                let common =
                    [0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x64, 0x0F, 0x0F, 0x38, 0x3A, 0xC4, 0xC5, 0x62];
                *byte = common[(random.next() % 14) as usize];
            }
            scenario::check_decoder(&bytes);
        }
    });
}
