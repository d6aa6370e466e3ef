//! Engines: what executes guest code.

use idem86_cpu::bus::{Bus, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
pub use idem86_translator::{Chaining, Options, Sensitive, Unsupported, Watched, Windows};
use idem86_translator::{Counters, Ram, Translator};
use std::cell::Cell;
use std::sync::OnceLock;

/// Which engine executes guest code. All give the same guest state, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Decoded instructions, in safe Rust; runs on any host.
    Interpreter,
    /// Trap-and-emulate: translated code that leaves every sensitive instruction to a trap of the host, whatever the
    /// options say of those; needs Linux on an x86-64 host. Memory that the host cannot map twice, a fork's, is
    /// accessed as the translator does.
    Trap(Options),
    /// Binary translation; needs an x86-64 host.
    Translator(Options),
}

impl EngineKind {
    /// Every engine there is, with its usual options, the slowest to start with; some may not run on this host.
    pub fn all() -> Vec<Self> {
        vec![
            EngineKind::Interpreter,
            EngineKind::Trap(Options::TRAP),
            EngineKind::Translator(Options::default()),
        ]
    }

    /// The engine that users call `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|kind| kind.name() == name)
    }

    /// The fastest that this host can run.
    pub fn fastest() -> Self {
        // What a host can do does not change, and finding it out takes as long as building a machine.
        static FASTEST: OnceLock<EngineKind> = OnceLock::new();
        *FASTEST.get_or_init(|| {
            let translator = EngineKind::Translator(Options::default());
            if Engine::new(translator).is_ok() { translator } else { EngineKind::Interpreter }
        })
    }

    /// Its options, to be changed; `None` if it has none.
    pub fn options_mut(&mut self) -> Option<&mut Options> {
        match self {
            EngineKind::Interpreter => None,
            EngineKind::Trap(options) | EngineKind::Translator(options) => Some(options),
        }
    }

    /// Its name, as users give it.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Interpreter => INTERPRETER,
            EngineKind::Trap(_) => TRAP,
            EngineKind::Translator(_) => TRANSLATOR,
        }
    }
}

/// The names of the engines, as users give them.
const INTERPRETER: &str = "interpreter";
const TRAP: &str = "trap";
const TRANSLATOR: &str = "translator";

/// An engine with what it has learnt of its guest.
#[derive(Debug, Default)]
pub enum Engine {
    /// The interpreter is part of the processor.
    #[default]
    Interpreter,
    /// The translator, with its cache; it is also what traps.
    Translator(Box<Translator>),
}

impl Engine {
    /// An engine of this kind.
    pub fn new(kind: EngineKind) -> Result<Self, Unsupported> {
        let options = match kind {
            EngineKind::Interpreter => return Ok(Engine::Interpreter),
            EngineKind::Trap(options) => Options { sensitive: Sensitive::Trap, ..options },
            EngineKind::Translator(options) => options,
        };
        Ok(Engine::Translator(Box::new(Translator::new(options)?)))
    }

    /// Its name, as users give it.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Interpreter => INTERPRETER,
            Engine::Translator(engine) if engine.options().sensitive == Sensitive::Trap => TRAP,
            Engine::Translator(_) => TRANSLATOR,
        }
    }

    /// Notes from now on which units are translated. `false`: this engine does not translate.
    pub fn watch(&mut self) -> bool {
        match self {
            Engine::Interpreter => false,
            Engine::Translator(translator) => {
                translator.watch();
                true
            }
        }
    }

    /// The units that were translated from `ram` since the last call.
    pub fn watched(&mut self, ram: &[u8]) -> Watched {
        match self {
            Engine::Interpreter => Watched::default(),
            Engine::Translator(translator) => translator.watched(ram),
        }
    }

    /// Tells what the RAM is that `cpu` will be lent.
    pub fn attach(&mut self, ram: &Ram) {
        if let Engine::Translator(translator) = self {
            translator.attach(ram);
        }
    }

    /// How one unit of translated code leads to the next from now on; what is translated is forgotten.
    pub fn set_chaining(&mut self, chaining: Chaining) {
        if let Engine::Translator(translator) = self {
            translator.set_chaining(chaining);
        }
    }

    /// Forgets what the RAM is: it will be another, or is to be frozen.
    pub fn detach(&mut self) {
        if let Engine::Translator(translator) = self {
            translator.detach();
        }
    }

    /// Lets `cpu` run; see [`Cpu::run`].
    pub fn run(&mut self, cpu: &mut Cpu, ram: &[Cell<u8>], bus: &mut dyn Bus, budget: Work) -> Stop {
        match self {
            Engine::Interpreter => cpu.run(ram, bus, budget),
            Engine::Translator(translator) => cpu.run_with(translator.as_mut(), ram, bus, budget),
        }
    }

    /// What the translator did, if it is one.
    pub fn counters(&self) -> Option<Counters> {
        match self {
            Engine::Interpreter => None,
            Engine::Translator(translator) => Some(translator.counters()),
        }
    }
}
