//! The engine under test: the translator, in the way that the environment names.

#[path = "../../../cpu/tests/support/writes.rs"]
pub mod writes;

use idem86_cpu::bus::{Bus, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
use idem86_translator::{Chaining, Counters, Options, Ram, Sensitive, Translator, Unsupported, Windows};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

/// The variable that names the way.
pub const WAY: &str = "IDEM86_TRANSLATOR_WAY";

/// Bytes of an arena of which each region holds a unit or two.
const TINY: usize = 0;

/// Translation at first sight, through shadow tables.
const TABLES: Options = Options {
    threshold: 0,
    chaining: Chaining::Linked,
    arena: 1 << 20,
    unit: 64,
    windows: Windows::Never,
    sensitive: Sensitive::Adaptive,
};

/// The ways to translate that are tested, if the host has what they take.
const WAYS: [(&str, Options); 8] = [
    ("single", Options { unit: 1, ..TABLES }),
    ("single in windows", Options { unit: 1, windows: Windows::AtOnce, ..TABLES }),
    ("linked", TABLES),
    ("in windows, unlinked", Options { chaining: Chaining::Unlinked, windows: Windows::AtOnce, ..TABLES }),
    ("evicting", Options { arena: TINY, unit: 3, ..TABLES }),
    ("trap", Options { threshold: 0, arena: 1 << 20, ..Options::TRAP }),
    ("single callouts", Options { unit: 1, sensitive: Sensitive::Callout, ..TABLES }),
    ("in cache, in windows", Options { windows: Windows::AtOnce, sensitive: Sensitive::InCache, ..TABLES }),
];

/// The ways that this host knows; the first is the usual one. Where traps do not come back, the others are refused.
pub fn ways() -> &'static [(&'static str, Options)] {
    let known = |options: Options| {
        let linux = cfg!(target_os = "linux");
        let traps = options.sensitive == Sensitive::Trap || options.windows == Windows::AtOnce;
        let refused =
            || matches!(Translator::new(options), Err(Unsupported::Traps(_) | Unsupported::Windows(_)));
        assert!(!traps || linux || refused(), "no traps come back on this host");
        linux || !traps
    };
    static KNOWN: OnceLock<Vec<(&str, Options)>> = OnceLock::new();
    KNOWN.get_or_init(|| WAYS.into_iter().filter(|(_, options)| known(*options)).collect())
}

fn options() -> Options {
    let Ok(wanted) = std::env::var(WAY) else { return WAYS[0].1 };
    WAYS.iter().find(|way| way.0 == wanted).unwrap_or_else(|| panic!("no way {wanted:?}")).1
}

/// An engine for one processor; it is made when it is first used.
#[derive(Debug)]
pub struct Engine {
    /// How to translate; without, the interpreter runs.
    options: Option<Options>,
    translator: Option<Box<Translator>>,
}

impl Engine {
    /// The engine under test.
    pub fn under_test() -> Self {
        Engine::translator(options())
    }

    /// The translator in some way.
    pub fn translator(options: Options) -> Self {
        Engine { options: Some(options), translator: None }
    }

    /// The interpreter.
    pub fn interpreter() -> Self {
        Engine { options: None, translator: None }
    }

    /// What the translator did, if it was used.
    pub fn counters(&self) -> Option<Counters> {
        self.translator.as_ref().map(|translator| translator.counters())
    }

    /// See [`Cpu::run`].
    pub fn run(&mut self, cpu: &mut Cpu, ram: &mut Memory, bus: &mut dyn Bus, budget: Work) -> Stop {
        let object = &ram.0;
        let translator = self.options.map(|options| {
            self.translator.get_or_insert_with(|| {
                let mut translator = Translator::new(options).expect("the host can run translated code");
                translator.attach(object);
                Box::new(translator)
            })
        });
        writes::checked(cpu, ram, |cpu, ram| {
            let cells = Cell::from_mut(&mut **ram).as_slice_of_cells();
            match translator {
                Some(translator) => cpu.run_with(translator.as_mut(), cells, bus, budget),
                None => cpu.run(cells, bus, budget),
            }
        })
    }
}

/// Guest RAM that can be shown in windows.
#[derive(Debug)]
pub struct Memory(Ram);

impl Memory {
    /// `bytes` bytes, all zero; rounded up to whole pages.
    pub fn new(bytes: usize) -> Self {
        Memory(Ram::new(bytes.next_multiple_of(4096)).expect("the host has memory"))
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        let mut copy = Memory::new(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Memory {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
