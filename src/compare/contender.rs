//! Engines as comparisons name them: `NAME`, or `NAME:OPTION...` for one that works otherwise than usual.

use idem86_machine::engine::{Chaining, EngineKind, Sensitive, Windows};
use std::str::FromStr;

/// An engine that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// The heading of its column.
    pub name: String,
    /// The engine.
    pub kind: EngineKind,
}

impl Contender {
    /// All engines as they usually work.
    pub fn all() -> Vec<Self> {
        EngineKind::all().into_iter().map(Contender::from).collect()
    }
}

impl From<EngineKind> for Contender {
    fn from(kind: EngineKind) -> Self {
        Contender { name: kind.name().into(), kind }
    }
}

/// Why a name is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContenderError {
    /// No such engine.
    #[error("no engine is called {name:?}; there are {known}")]
    Engine {
        /// What was given.
        name: String,
        /// The engines there are.
        known: String,
    },
    /// No such option.
    #[error(
        "no option of an engine is called {0:?}; there are callout, in-cache, unchained, tables and windows"
    )]
    Option(String),
    /// An option that this engine does not have.
    #[error("the engine {engine} has no option {option:?}")]
    Without {
        /// The engine.
        engine: &'static str,
        /// The option.
        option: String,
    },
}

impl FromStr for Contender {
    type Err = ContenderError;

    fn from_str(text: &str) -> Result<Self, ContenderError> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let mut kind = EngineKind::named(name).ok_or_else(|| {
            let known: Vec<&str> = EngineKind::all().into_iter().map(EngineKind::name).collect();
            ContenderError::Engine { name: name.into(), known: known.join(", ") }
        })?;
        let engine = kind.name();
        let traps = matches!(kind, EngineKind::Trap(_));
        for option in parts {
            let without = || ContenderError::Without { engine, option: option.into() };
            let options = kind.options_mut().ok_or_else(without)?;
            match option {
                // What traps are for is not to be chosen.
                "callout" | "in-cache" if traps => return Err(without()),
                "callout" => options.sensitive = Sensitive::Callout,
                "in-cache" => options.sensitive = Sensitive::InCache,
                "unchained" => options.chaining = Chaining::Unlinked,
                "tables" => options.windows = Windows::Never,
                "windows" => options.windows = Windows::AtOnce,
                _ => return Err(ContenderError::Option(option.into())),
            }
        }
        Ok(Contender { name: text.into(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options() {
        for contender in Contender::all() {
            assert_eq!(contender.name.parse(), Ok(contender));
        }
        let mut changed: Contender = "translator:callout:unchained:tables".parse().unwrap();
        let options = changed.kind.options_mut().unwrap();
        assert_eq!(options.sensitive, Sensitive::Callout);
        assert!(options.chaining == Chaining::Unlinked && options.windows == Windows::Never);
        assert_eq!("trap:tables".parse::<Contender>().map(|c| c.name), Ok("trap:tables".into()));
    }

    #[test]
    fn what_there_is_not() {
        let error = |text: &str| text.parse::<Contender>().unwrap_err();
        assert!(matches!(error("warp"), ContenderError::Engine { .. }));
        assert!(matches!(error(""), ContenderError::Engine { .. }));
        assert!(matches!(error("translator:fast"), ContenderError::Option(_)));
        assert!(matches!(error("interpreter:tables"), ContenderError::Without { .. }));
        assert!(matches!(error("trap:callout"), ContenderError::Without { .. }));
    }
}
