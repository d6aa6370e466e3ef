//! Boots FreeDOS and reads a list of its files from the screen.
//!
//!     cargo run --release --example boot_dos -- freedos.img

use idem86::{Disk, Ended, Machine, Until};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(image) = std::env::args().nth(1) else {
        return Err("which image? For example the boot floppy of https://www.freedos.org/download/".into());
    };
    let mut machine = Machine::builder().memory(16 << 20).floppy(Disk::file(image).snapshot()).build()?;
    wait_for(&mut machine, r"^A:.?>$")?;
    machine.type_text("cls\ndir /b\n")?;
    wait_for(&mut machine, r"(?s)dir /b\n.*\n\nA:.?>$")?;

    let screen = machine.screen_text().unwrap_or_default();
    let files: Vec<&str> = screen.lines().skip(1).filter(|l| !l.is_empty() && !l.contains('>')).collect();
    println!("{} files, among them {}", files.len(), files.join(" "));
    println!("in {:.1} s of guest time", machine.now().as_nanos() as f64 / 1e9);
    Ok(())
}

/// Runs until the screen shows `pattern`, for at most a minute of guest time.
fn wait_for(machine: &mut Machine, pattern: &str) -> Result<(), Box<dyn Error>> {
    match machine.run_until(Until::screen(pattern).or(Until::millis(60_000)))? {
        Ended::Screen { .. } => Ok(()),
        other => {
            let screen = machine.screen_text().unwrap_or_default();
            Err(format!("no {pattern} but {other:?}; the screen shows\n{screen}").into())
        }
    }
}
