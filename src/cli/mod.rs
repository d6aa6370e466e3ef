//! The command line: arguments in, exit codes out.

mod args;
mod classify;
mod compare;
mod demo;
mod engine;
mod flat;
mod lockstep;
mod output;
mod run;
mod terminal;

use clap::Parser;
use std::process::ExitCode;

/// A step or the program itself failed.
const EXIT_FAILED: u8 = 1;
/// The command line or an input file is not usable.
const EXIT_USAGE: u8 = 2;
/// The time was up; the same code as timeout(1).
const EXIT_TIMEOUT: u8 = 124;

/// Why the program ends without a guest's own exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Bad arguments or input: one line that names what and why.
    #[error("{0}")]
    Usage(String),
    /// Something went wrong on the way.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => EXIT_USAGE,
            Failure::Failed(_) => EXIT_FAILED,
        }
    }
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let args = args::Args::parse();
    let done = match args.command {
        args::Command::Demo => demo::run(),
        args::Command::Classify { json } => classify::run(json),
        args::Command::Compare(args) if args.list => Ok(compare::list()),
        args::Command::Compare(args) => compare::run(*args),
        args::Command::Resume(resume) => run::run(&resume.run, run::Begin::Resumed),
        args::Command::Run(run) => match &run.flat {
            Some(image) => flat::run(image, &run),
            None => match run.lockstep {
                Some(seconds) => lockstep::run(&run, seconds),
                None => run::run(&run, run::Begin::SwitchedOn),
            },
        },
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("idem86: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// The exit code of a guest that wrote `value` to the debug-exit port: (value << 1) | 1, as QEMU's isa-debug-exit
/// gives it, cut to the eight bits that a process can return.
fn debug_exit_code(value: u32) -> u8 {
    (value << 1 | 1) as u8
}
