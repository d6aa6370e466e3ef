//! The host's memory: a guest changes none but its RAM, and no code can be written where it is executed.

use crate::engine::ways;
use crate::kit::{Kit, place};
use crate::programs::{Random, World};
use idem86_cpu::flat::FlatBus;
use idem86_cpu::run::Stop;
use idem86_cpu::state::gpr;
use idem86_translator::Translator;
use std::cell::Cell;

/// What lies before and behind RAM: more than a displacement of 16 bits.
const GUARD: usize = 1 << 20;

/// Byte `n` of the guards.
fn canary(n: usize) -> u8 {
    (n as u32).wrapping_mul(0x9E37_79B9).to_le_bytes()[3]
}

/// Random programs in RAM that lies between other memory: that stays as it was, and what is there cannot be read.
#[test]
fn what_lies_around_ram_is_neither_read_nor_written() {
    let worlds = [World::Real, World::Flat(0), World::Flat(3), World::Paged(0), World::Protected16];
    for seed in 1..=40 {
        let world = worlds[seed as usize % worlds.len()];
        let (_, options) = ways()[seed as usize % ways().len()];
        let (mut subject, mut reference) = (world.machine(seed), world.machine(seed));
        let ram = reference.ram.len();
        let mut memory: Vec<u8> = (0..GUARD + ram + GUARD).map(canary).collect();
        memory[GUARD..GUARD + ram].copy_from_slice(&subject.ram);
        let mut translator = Translator::new(options).expect("the host can run translated code");
        let mut random = Random::new(seed);
        for _ in 0..40 {
            let work = 1 + u64::from(random.below(300));
            let cells = &Cell::from_mut(&mut memory[..]).as_slice_of_cells()[GUARD..GUARD + ram];
            let stop = subject.cpu.run_with(&mut translator, cells, &mut subject.bus, work);
            assert_eq!(stop, reference.run(work), "{world:?}, seed {seed}");
            assert_eq!(subject.cpu.save(), reference.cpu.save(), "{world:?}, seed {seed}");
            if stop != Stop::Budget {
                break;
            }
        }
        let (before, rest) = memory.split_at(GUARD);
        let (inside, behind) = rest.split_at(ram);
        assert!(inside == &reference.ram[..], "{world:?}, seed {seed}: memory");
        assert!((0..GUARD).all(|n| before[n] == canary(n)), "{world:?}, seed {seed}: before RAM");
        assert!(
            (0..GUARD).all(|n| behind[n] == canary(GUARD + ram + n)),
            "{world:?}, seed {seed}: behind RAM"
        );
    }
}

/// A bus says that there is RAM where none was lent: reads give ones, writes are dropped.
#[test]
fn ram_that_was_promised_but_not_lent_is_not_accessed() {
    for &(_, options) in ways() {
        let mut k = Kit::protected(0);
        let ram = k.ram.len();
        k.bus = FlatBus::new(ram + GUARD);
        // MOV EAX, [ESI]; MOV [ESI], EBX; ADD [ESI], EBX; JMP back
        k.put(place::CODE, &[0x8B, 0x06, 0x89, 0x1E, 0x01, 0x1E, 0xEB, 0xF8]);
        k.cpu.gpr.set(gpr::SI, ram as u32 + 0x123);
        k.cpu.state_changed();
        let mut memory: Vec<u8> = (0..ram + GUARD).map(canary).collect();
        memory[..ram].copy_from_slice(&k.ram);
        let mut translator = Translator::new(options).expect("the host can run translated code");
        let cells = &Cell::from_mut(&mut memory[..]).as_slice_of_cells()[..ram];
        assert_eq!(k.cpu.run_with(&mut translator, cells, &mut k.bus, 100), Stop::Budget);
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), u32::MAX);
        assert!(memory[..ram] == k.ram[..] && (ram..ram + GUARD).all(|n| memory[n] == canary(n)));
    }
}

/// Looks at every mapping of its process: address range, rights, name. So it runs in one of its own, where no other
/// test maps anything.
#[cfg(target_os = "linux")]
#[test]
fn nothing_can_be_both_written_and_executed() {
    use idem86_translator::Windows;
    use std::process::Command;
    const ALONE: &str = "IDEM86_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let this = std::env::current_exe().expect("this program has a name");
        let mut alone = Command::new(this);
        alone.args(["--exact", "safety::nothing_can_be_both_written_and_executed"]).env(ALONE, "1");
        let run = alone.output().expect("it can be started");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    for &(way, options) in ways() {
        let mut k = World::Flat(0).machine(3);
        k.engine = crate::engine::Engine::translator(options);
        k.run(5000);
        let entries = k.engine.counters().expect("it was used").entries;
        assert!(entries > 0, "{way}: translated code ran");
        assert!(options.windows == Windows::Never || k.engine.counters().is_some_and(|c| c.promotions > 0));
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux says what is mapped");
        let rights = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let both = maps.lines().find(|line| rights(line).contains('w') && rights(line).contains('x'));
        assert_eq!(both, None, "{way}");
        let code =
            |right| maps.lines().any(|line| line.contains("idem86-code") && rights(line).contains(right));
        assert!(
            code('w') && code('x'),
            "{way}: the arena is there, once to be written and once to be executed"
        );
    }
}
