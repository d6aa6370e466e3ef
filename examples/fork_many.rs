//! Boots once, makes a hundred machines of it, and gives each another input.
//!
//!     cargo run --release --example fork_many

use iced_x86::code_asm::*;
use idem86::testing::boot_sector;
use idem86::{Ended, Machine, Until};
use std::error::Error;
use std::time::Instant;

/// A guest that adds up the characters that arrive at COM1 until a line feed comes, and prints the sum as a byte.
fn guest() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    let (mut wait, mut done) = (a.create_label(), a.create_label());
    a.mov(dx, 0x3FB)?;
    a.mov(al, 3)?;
    a.out(dx, al)?;
    a.mov(dx, 0x3F8)?;
    a.mov(al, i32::from(b'?'))?;
    a.out(dx, al)?;
    a.xor(bl, bl)?;
    a.set_label(&mut wait)?;
    a.mov(dx, 0x3FD)?;
    a.in_(al, dx)?;
    a.test(al, 1)?;
    a.jz(wait)?;
    a.mov(dx, 0x3F8)?;
    a.in_(al, dx)?;
    a.cmp(al, i32::from(b'\n'))?;
    a.je(done)?;
    a.add(bl, al)?;
    a.jmp(wait)?;
    a.set_label(&mut done)?;
    a.mov(al, bl)?;
    a.out(dx, al)?;
    a.cli()?;
    a.hlt()?;
    a.assemble(0x7C00)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut machine = Machine::builder().memory(64 << 20).floppy(boot_sector(&guest()?)).build()?;
    if !matches!(machine.run_until(Until::serial(r"\?").or(Until::millis(10_000)))?, Ended::Serial { .. }) {
        return Err("the guest does not ask".into());
    }
    let booted = machine.snapshot()?;

    let start = Instant::now();
    let mut forks: Vec<Machine> = (0..100).map(|_| booted.spawn()).collect::<Result<_, _>>()?;
    println!("{} machines in {:.1} ms", forks.len(), start.elapsed().as_secs_f64() * 1e3);

    let start = Instant::now();
    for (n, fork) in (0u8..).zip(&mut forks) {
        fork.send_serial(0, &[b'0' + n / 10, b'0' + n % 10, b'\n'])?;
        fork.serial_output(0);
        // It halts for ever when it is done.
        fork.run_until(Until::millis(1_000))?;
        let expected = 2 * b'0' + n / 10 + n % 10;
        if fork.serial_output(0) != [expected] {
            return Err(format!("machine {n} gives something else").into());
        }
    }
    println!("each with its own input, in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
