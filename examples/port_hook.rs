//! Sees what a guest does at a port, and answers in a device's place.
//!
//!     cargo run --example port_hook

use iced_x86::code_asm::*;
use idem86::testing::boot_sector;
use idem86::{Ended, Machine, Until};
use std::error::Error;
use std::sync::{Arc, Mutex};

fn main() -> Result<(), Box<dyn Error>> {
    // The guest asks port 300h for three numbers, and writes their sum to port 301h.
    let mut a = CodeAssembler::new(16)?;
    a.mov(dx, 0x300)?;
    a.xor(bl, bl)?;
    for _ in 0..3 {
        a.in_(al, dx)?;
        a.add(bl, al)?;
    }
    a.mov(al, bl)?;
    a.inc(dx)?;
    a.out(dx, al)?;
    a.cli()?;
    a.hlt()?;
    let mut machine = Machine::builder().floppy(boot_sector(&a.assemble(0x7C00)?)).build()?;

    let mut numbers = [11, 22, 33].into_iter();
    machine.hook_ports(0x300..=0x300, move |access| access.answer(numbers.next().unwrap_or(0)));
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    machine.observe_ports(0x300..=0x301, move |access| {
        let verb = if access.is_write { "writes" } else { "reads" };
        let line =
            format!("{:10} ns: {verb} {:?} at port {:x}h", access.now.as_nanos(), access.value, access.port);
        seen.lock().expect("nobody panics").push(line);
    });

    let ended = machine.run_until(Until::port_write(0x301).or(Until::millis(10_000)))?;
    log.lock().expect("nobody panics").iter().for_each(|line| println!("{line}"));
    match ended {
        Ended::PortWrite { value: 66, .. } => Ok(()),
        other => Err(format!("expected the sum 66, but {other:?}").into()),
    }
}
