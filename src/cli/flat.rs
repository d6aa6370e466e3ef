//! `idem86 run --flat`: a flat image on a bare processor.

use super::args::Run;
use super::{EXIT_TIMEOUT, Failure, debug_exit_code};
use idem86::machine::engine::Engine;
use idem86::machine::flat::{FlatEnd, FlatError, FlatMachine};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Where flat images end the run if nothing else is said: the port of QEMU's isa-debug-exit by convention.
const DEFAULT_EXIT_PORT: u16 = 0xF4;

/// Runs the image and gives the exit code.
pub fn run(image: &Path, args: &Run) -> Result<u8, Failure> {
    let name = image.display();
    let image = std::fs::read(image).map_err(|e| Failure::Usage(format!("{name}: {e}")))?;
    let mut machine = FlatMachine::new(
        &image,
        args.cpu,
        args.memory as usize,
        args.debug_exit.unwrap_or(DEFAULT_EXIT_PORT),
    )
    .map_err(|e| Failure::Usage(format!("{name}: {e}")))?;
    let engine = Engine::new(args.engine.kind()?).map_err(|e| Failure::Usage(e.to_string()))?;
    machine.set_engine(engine);
    let timeout = args.timeout.map(Duration::from_secs_f64);
    match machine.run(timeout, &mut io::stdout()) {
        Ok(FlatEnd::Exit(value)) => Ok(debug_exit_code(value)),
        Ok(FlatEnd::Halted) => Ok(0),
        Ok(FlatEnd::Timeout) => {
            eprintln!("idem86: {name}: stopped after {} seconds", args.timeout.unwrap_or_default());
            Ok(EXIT_TIMEOUT)
        }
        Ok(FlatEnd::Shutdown) => {
            let at = machine.cpu.rip;
            Err(Failure::Failed(format!("{name}: triple fault; the processor shut down at EIP {at:08X}h")))
        }
        // Whoever reads the output went away: that is their decision, not an error.
        Err(FlatError::Host(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(e) => Err(Failure::Failed(e.to_string())),
    }
}
