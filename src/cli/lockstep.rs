//! `idem86 run --lockstep`: the engine beside the interpreter, until they differ.

use super::args::Run;
use super::{Failure, run};
use idem86::devices::time::{GuestDuration, GuestTime};
use idem86::machine::lockstep::{Ended, Grain, Lockstep, LockstepError};
use idem86::machine::machine::Outcome;
use idem86::machine::script::Script;

/// Runs both machines for at most `seconds` of guest time and gives the exit code.
pub fn run(args: &Run, seconds: f64) -> Result<u8, Failure> {
    let moment = |seconds: f64| GuestTime::ZERO + GuestDuration::from_nanos((seconds * 1e9) as u64);
    let until = moment(seconds);
    let grain = match args.lockstep_units {
        None => Grain::Work,
        Some(from) => Grain::Unit(moment(from.unwrap_or(0.0))),
    };
    let mut lockstep = Lockstep::new(args.engine.kind()?, grain, |engine| {
        let machine = run::builder(args)?.engine(engine).build();
        let machine = machine.map_err(|e| Failure::Usage(e.to_string()))?;
        Ok((machine, Script::new(args.steps.clone())))
    });
    let report = lockstep.run(until).map_err(|e| match e {
        LockstepError::Setup(failure) => failure,
        other => Failure::Failed(other.to_string()),
    })?;
    if args.stats {
        eprintln!("work             {:14} units, compared {} times", report.work, report.compared);
        eprint!("{}", report.counters);
    }
    match report.ended {
        Ended::ScriptFailed(what) => Err(Failure::Failed(what)),
        Ended::Stopped(Outcome::Exit(status)) => Ok(status as u8),
        Ended::TimeUp | Ended::ScriptDone | Ended::Stopped(_) => Ok(0),
    }
}
