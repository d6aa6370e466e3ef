//! `idem86 demo`: the built-in BIOS boots a built-in disk.

use super::Failure;
use super::terminal::Terminal;
use idem86::compare::measure::{Plan, measure};
use idem86::compare::{nano, report};
use idem86::devices::backend::MemoryMedium;
use idem86::devices::time::GuestDuration;
use idem86::machine::clock::ClockKind;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::machine::{Machine, Outcome};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// RAM of the demonstration's machine.
const MEMORY: u64 = 32 << 20;
/// Guest time between two pictures.
const SLICE: GuestDuration = GuestDuration::from_millis(20);
/// Guest time after which something must be wrong.
const LIMIT: GuestDuration = GuestDuration::from_millis(60_000);

/// Runs the demonstration: in a terminal as it happens, and in the end as text, with a short comparison of the engines.
pub fn run() -> Result<u8, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
    let image = idem86::testing::demo_disk();
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut config = Config::new(MEMORY, Firmware::Builtin);
    config.clock = if interactive { ClockKind::Host } else { ClockKind::Virtual };
    config.floppies[0] = Some(Box::new(MemoryMedium::new(image)));
    let mut machine = Machine::new(config).map_err(|e| failed(&e))?;
    let mut terminal = if interactive { Some(Terminal::text()?) } else { None };
    let end = machine.now() + LIMIT;
    loop {
        let until = machine.now() + SLICE;
        let outcome = machine.run_to(until);
        if let Some(terminal) = &mut terminal {
            terminal.show(machine.board.vga.text_screen().as_ref())?;
            let mut inputs = Vec::new();
            if terminal.poll(&mut inputs)? == super::terminal::Wish::Leave {
                return Ok(0);
            }
            inputs.into_iter().try_for_each(|input| machine.input(input)).map_err(|e| failed(&e))?;
        }
        match outcome {
            Outcome::Ran if machine.now() < end => {}
            Outcome::PoweredOff => break,
            other => return Err(Failure::Failed(format!("the demonstration ended by {other:?}"))),
        }
    }
    drop(terminal);
    let screen = machine.board.vga.text_screen().map(|s| s.to_string()).unwrap_or_default();
    io::stdout()
        .write_all(screen.trim_end().as_bytes())
        .and_then(|()| writeln!(io::stdout()))
        .map_err(|e| failed(&e))?;
    println!(
        "\n{}idem86 compare measures more, and more exactly.",
        report::short(&measure(&look(), &mut |_| ()))
    );
    Ok(0)
}

/// A quick comparison of the engines.
fn look() -> Plan {
    let names = ["rdtsc", "cli-sti", "in", "int-user", "sysenter", "page-fault", "call-ret", "compute"];
    let nanos = names.into_iter().filter_map(nano::named).collect();
    Plan {
        nanos,
        repeats: 3,
        run: Duration::from_millis(5),
        limit: Duration::from_secs(10),
        ..Plan::default()
    }
}
