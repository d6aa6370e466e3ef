//! A fuzz loop: one snapshot, thousands of inputs, each on the machine as it was then; finds what crashes the guest.
//!
//!     cargo run --release --example fuzz_loop [INPUTS]

use iced_x86::code_asm::*;
use idem86::testing::boot_sector;
use idem86::{Ended, Machine, Until};
use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

/// Where the input lies: a length, then as many bytes.
const INPUT: u64 = 0x8000;
/// What the guest writes to this port: ready for an input, done with it.
const PORT: u16 = 0x300;

/// A guest that parses its input, and divides by zero if it contains 'B', 'U', 'G' in this order.
fn guest() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    let (mut next, mut skip, mut done) = (a.create_label(), a.create_label(), a.create_label());
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(ss, ax)?;
    a.mov(sp, 0x7C00)?;
    a.cld()?;
    a.mov(dx, i32::from(PORT))?;
    a.out(dx, al)?;
    a.mov(si, INPUT as i32)?;
    a.xor(cx, cx)?;
    a.lodsb()?;
    a.mov(cl, al)?;
    // BX counts how much of the magic word has come.
    a.xor(bx, bx)?;
    a.set_label(&mut next)?;
    a.jcxz(done)?;
    a.dec(cx)?;
    a.lodsb()?;
    a.cmp(al, byte_ptr(bx + 0x7DF0))?;
    a.jne(skip)?;
    a.inc(bx)?;
    a.cmp(bl, 3)?;
    a.jne(skip)?;
    a.div(ch)?;
    a.set_label(&mut skip)?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.out(dx, al)?;
    a.cli()?;
    a.hlt()?;
    let mut code = a.assemble(0x7C00)?;
    code.resize(0x1F0, 0);
    code.extend(b"BUG");
    Ok(code)
}

/// A small generator of chance (xorshift64), so that the loop repeats.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let inputs: u64 = match std::env::args().nth(1) {
        Some(number) => number.parse()?,
        None => 20_000,
    };
    let mut machine = Machine::builder().memory(16 << 20).floppy(boot_sector(&guest()?)).build()?;
    let ready = Until::port_write(PORT);
    if !matches!(machine.run_until(ready.clone().or(Until::millis(10_000)))?, Ended::PortWrite { .. }) {
        return Err("the guest is not ready for an input".into());
    }
    let snapshot = machine.snapshot()?;
    // A division error ends the run.
    machine.hook_events(|event| match event.vector {
        0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });

    let (start, mut chance, mut crashes) = (Instant::now(), Chance(0x1DE8_6000), Vec::new());
    let end = Until::port_write(PORT).or(Until::work(100_000));
    for _ in 0..inputs {
        machine.restore(&snapshot)?;
        let length = 1 + chance.next() % 40;
        let mut input = vec![length as u8];
        input.extend((0..length).map(|_| b"BUGS and others"[(chance.next() % 15) as usize]));
        machine.write_physical(INPUT, &input);
        match machine.run_until(&end)? {
            Ended::Hook => crashes.push(input),
            Ended::PortWrite { .. } => {}
            other => return Err(format!("the guest hangs: {other:?}").into()),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{inputs} inputs in {seconds:.2} s, {:.0} a second", inputs as f64 / seconds);
    let first = crashes.first().ok_or("no input crashes the guest")?;
    println!("{} crash it, the first: {:?}", crashes.len(), String::from_utf8_lossy(&first[1..]));
    Ok(())
}
