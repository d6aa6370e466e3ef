//! Writes one of the benchmark guests to a file that any PC emulator can boot.
//!
//!     cargo run --example bench_guest -- sieve32 100 sieve.img
//!     cargo run --release -- run --flat sieve.img
//!
//! Without arguments it lists the guests.

#[path = "../benches/guests/mod.rs"]
mod guests;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, iterations, file] = args.as_slice() else {
        println!("usage: bench_guest GUEST ITERATIONS FILE\n");
        for guest in guests::GUESTS {
            println!("  {:10} {}", guest.name, guest.about);
        }
        return Ok(());
    };
    let guest =
        guests::GUESTS.iter().find(|g| g.name == name).ok_or_else(|| format!("no guest is called {name}"))?;
    // The size of a floppy, so that other emulators take it as one.
    let mut image = guest.image(iterations.parse()?)?;
    image.resize(1_474_560, 0);
    std::fs::write(file, image)?;
    Ok(())
}
