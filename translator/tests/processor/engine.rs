//! The engine under test: the translator, in the way that the environment names.

use idem86_cpu::bus::{Bus, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
use idem86_translator::{Options, Translator, Windows};
use std::cell::Cell;

/// The variable that names the way.
pub const WAY: &str = "IDEM86_TRANSLATOR_WAY";

/// Bytes of an arena of which each region holds a unit or two.
const TINY: usize = 0;

/// The ways to translate that are tested. All do so at first sight.
pub const WAYS: [(&str, Options); 4] = [
    ("single", Options { threshold: 0, chaining: true, arena: 1 << 20, unit: 1, windows: Windows::Never }),
    ("linked", Options { threshold: 0, chaining: true, arena: 1 << 20, unit: 32, windows: Windows::Never }),
    (
        "unlinked",
        Options { threshold: 0, chaining: false, arena: 1 << 20, unit: 32, windows: Windows::Never },
    ),
    ("evicting", Options { threshold: 0, chaining: true, arena: TINY, unit: 3, windows: Windows::Never }),
];

fn options() -> Options {
    let Ok(wanted) = std::env::var(WAY) else { return WAYS[0].1 };
    WAYS.iter().find(|way| way.0 == wanted).unwrap_or_else(|| panic!("no way {wanted:?}")).1
}

/// An engine for one processor; it is made when it is first used.
#[derive(Debug)]
pub struct Engine {
    interprets: bool,
    translator: Option<Box<Translator>>,
}

impl Engine {
    /// The engine under test.
    pub fn under_test() -> Self {
        Engine { interprets: false, translator: None }
    }

    /// The interpreter.
    pub fn interpreter() -> Self {
        Engine { interprets: true, translator: None }
    }

    /// See [`Cpu::run`].
    pub fn run(&mut self, cpu: &mut Cpu, ram: &[Cell<u8>], bus: &mut dyn Bus, budget: Work) -> Stop {
        if self.interprets {
            return cpu.run(ram, bus, budget);
        }
        let new = || Box::new(Translator::new(options()).expect("the host can run translated code"));
        let translator = self.translator.get_or_insert_with(new);
        cpu.run_with(translator.as_mut(), ram, bus, budget)
    }
}
