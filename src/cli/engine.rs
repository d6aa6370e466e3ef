//! The engine, and how it works: `--engine` and what goes with it.

use super::Failure;
use clap::{Args, ValueEnum};
use idem86::machine::engine::{Chaining, EngineKind, Options, Sensitive, Windows};

/// What executes guest instructions.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// What executes guest instructions; without this option the fastest that the host can run
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<EngineArg>,

    /// What the translator makes of sensitive instructions [default: adaptive]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<PolicyArg>,

    /// Whether translated code goes on in other translated code directly [default: on]
    #[arg(long, value_name = "on|off")]
    pub chaining: Option<Switch>,

    /// How translated code finds guest memory [default: adaptive; windows with --engine trap]
    #[arg(long, value_name = "TIER")]
    pub memory_tier: Option<TierArg>,
}

impl EngineArgs {
    /// Whether they say anything.
    pub fn given(self) -> bool {
        let EngineArgs { engine, policy, chaining, memory_tier } = self;
        engine.is_some() || policy.is_some() || chaining.is_some() || memory_tier.is_some()
    }

    /// The engine that the arguments ask for.
    pub fn kind(self) -> Result<EngineKind, Failure> {
        let mut kind = match self.engine {
            Some(EngineArg::Interpreter) => EngineKind::Interpreter,
            Some(EngineArg::Trap) => EngineKind::Trap(Options::TRAP),
            Some(EngineArg::Translator) => EngineKind::Translator(Options::default()),
            None => EngineKind::fastest(),
        };
        let name = kind.name();
        if self.policy.is_some() && !matches!(kind, EngineKind::Translator(_)) {
            return Err(Failure::Usage(format!("--policy goes with --engine translator, not {name}")));
        }
        match kind.options_mut() {
            None if self.chaining.is_some() || self.memory_tier.is_some() => {
                let message = "--chaining and --memory-tier go with --engine translator or trap, not";
                return Err(Failure::Usage(format!("{message} {name}")));
            }
            None => {}
            Some(options) => {
                options.chaining = self.chaining.map_or(options.chaining, Switch::chaining);
                options.windows = self.memory_tier.map_or(options.windows, TierArg::windows);
                options.sensitive = self.policy.map_or(options.sensitive, PolicyArg::sensitive);
            }
        }
        Ok(kind)
    }
}

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// Decoded instructions, one by one; on every host
    Interpreter,
    /// Trap-and-emulate: every sensitive instruction is a trap of the host; on Linux on x86-64
    Trap,
    /// Binary translation; on x86-64 hosts
    Translator,
}

/// `--policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyArg {
    /// Each is a call of the interpreter
    Callout,
    /// Translated where that is possible
    InCache,
    /// The same, and code whose memory accesses fault too often is translated anew
    Adaptive,
}

impl PolicyArg {
    fn sensitive(self) -> Sensitive {
        match self {
            PolicyArg::Callout => Sensitive::Callout,
            PolicyArg::InCache => Sensitive::InCache,
            PolicyArg::Adaptive => Sensitive::Adaptive,
        }
    }
}

/// `--memory-tier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    /// By look-up in shadow tables
    Tables,
    /// As the host's own memory, mapped where the guest has it; what is not mapped faults; on Linux
    Windows,
    /// By tables, until a view of memory proves stable enough for a window
    Adaptive,
}

impl TierArg {
    fn windows(self) -> Windows {
        match self {
            TierArg::Tables => Windows::Never,
            TierArg::Windows => Windows::AtOnce,
            TierArg::Adaptive => Windows::WhenHot,
        }
    }
}

/// A thing that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is used
    On,
    /// It is not used
    Off,
}

impl Switch {
    fn chaining(self) -> Chaining {
        match self {
            Switch::On => Chaining::Linked,
            Switch::Off => Chaining::Unlinked,
        }
    }
}
