//! Runs the same disk on two engines step by step, and compares their states.
//!
//!     cargo run --release --example compare_engines [IMAGE [SECONDS of guest time]]

use idem86::machine::engine::{EngineKind, Options};
use idem86::testing::demo_disk;
use idem86::{Disk, GuestDuration, Machine, Register, Until};
use std::error::Error;

/// Work between two comparisons: no round number, so that it ends everywhere.
const STEP: u64 = 997;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next();
    let seconds: u64 = arguments.next().map_or(Ok(2), |seconds| seconds.parse())?;
    let machine = |engine| {
        let disk = image.as_ref().map_or_else(|| demo_disk().into(), |path| Disk::file(path).snapshot());
        Machine::builder().memory(32 << 20).engine(engine).image(disk).build()
    };
    let mut one = machine(EngineKind::Interpreter)?;
    let mut other = match machine(EngineKind::Translator(Options::default())) {
        Ok(machine) => machine,
        Err(error) => {
            println!("{error}: nothing to compare with");
            return Ok(());
        }
    };
    let end = one.now() + GuestDuration::from_millis(seconds * 1000);
    let mut compared = 0;
    while one.now() < end {
        let ended = [one.run_until(Until::work(STEP))?, other.run_until(Until::work(STEP))?];
        compared += 1;
        if ended[0] != ended[1] || one.state_hash() != other.state_hash() {
            for register in Register::ALL {
                let values = (one.register(*register), other.register(*register));
                let mark = if values.0 == values.1 { ' ' } else { '*' };
                println!("{mark}{register:8} {:16X} {:16X}", values.0, values.1);
            }
            return Err(
                format!("the engines part within {STEP} units of work of {compared}, {ended:?}").into()
            );
        }
        if ended[0] != idem86::Ended::Work {
            println!("both ended by {:?}", ended[0]);
            break;
        }
    }
    println!("{compared} comparisons, {} units of work, state {}", one.counters().work, one.state_hash());
    Ok(())
}
