//! A device of one's own: a timer on ports 300h to 303h that interrupts by IRQ 5.
//!
//!     cargo run --example own_device

use iced_x86::code_asm::*;
use idem86::devices::access::AccessSize;
use idem86::devices::irq::IrqLine;
use idem86::testing::boot_sector;
use idem86::{Attachment, Device, Ended, GuestDuration, GuestTime, Machine, Until};
use std::error::Error;

/// Written with n, it interrupts n microseconds later; a read ends the interrupt and gives how many there were.
struct Alarm {
    line: IrqLine,
    due: Option<GuestTime>,
    count: u32,
}

impl Device for Alarm {
    fn read(&mut self, _region: usize, _offset: u64, _size: AccessSize, _now: GuestTime) -> u32 {
        self.line.set(false);
        self.count
    }

    fn write(&mut self, _region: usize, _offset: u64, _size: AccessSize, value: u32, now: GuestTime) {
        self.due = Some(now + GuestDuration::from_micros(value.into()));
    }

    fn next_event(&self) -> Option<GuestTime> {
        self.due
    }

    fn advance(&mut self, _now: GuestTime) {
        self.due = None;
        self.count = self.count.wrapping_add(1);
        self.line.set(true);
    }

    fn reset(&mut self) {
        (self.due, self.count) = (None, 0);
        self.line.set(false);
    }

    // With these two, snapshots and forks of the machine have the device too.
    fn save(&self) -> Vec<u8> {
        let due = self.due.map_or(u64::MAX, GuestTime::as_nanos);
        [due.to_le_bytes().as_slice(), &self.count.to_le_bytes()].concat()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
        let (due, count) = saved.split_first_chunk().ok_or("too short")?;
        let due = u64::from_le_bytes(*due);
        self.count = u32::from_le_bytes(count.try_into().map_err(|_| "of another length")?);
        self.due = (due != u64::MAX).then_some(GuestTime::from_nanos(due));
        Ok(())
    }
}

/// Where the guest's interrupt handler is.
const HANDLER: u64 = 0x7C80;

/// Lets the alarm go off in a millisecond, and again and again; prints a dot each time.
fn guest() -> Result<Vec<u8>, IcedError> {
    let set = |a: &mut CodeAssembler| {
        a.mov(dx, 0x300)?;
        a.mov(eax, 1000)?;
        a.out(dx, eax)
    };
    let mut a = CodeAssembler::new(16)?;
    let mut wait = a.create_label();
    a.cli()?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(ss, ax)?;
    a.mov(sp, 0x7C00)?;
    // The vector of IRQ 5 is 0Dh.
    a.mov(word_ptr(0x34), HANDLER as i32)?;
    a.mov(word_ptr(0x36), 0)?;
    a.in_(al, 0x21)?;
    a.and(al, 0xDF)?;
    a.out(0x21, al)?;
    set(&mut a)?;
    a.sti()?;
    a.set_label(&mut wait)?;
    a.hlt()?;
    a.jmp(wait)?;
    let mut code = a.assemble(0x7C00)?;
    code.resize((HANDLER - 0x7C00) as usize, 0);

    let mut a = CodeAssembler::new(16)?;
    a.mov(dx, 0x300)?;
    a.in_(eax, dx)?;
    a.mov(al, i32::from(b'.'))?;
    a.out(0xE9, al)?;
    set(&mut a)?;
    a.mov(al, 0x20)?;
    a.out(0x20, al)?;
    a.iret()?;
    code.extend(a.assemble(HANDLER)?);
    Ok(code)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut machine = Machine::builder().floppy(boot_sector(&guest()?)).build()?;
    let alarm = |line| Alarm { line, due: None, count: 0 };
    machine.attach(Attachment::fixed("alarm").ports(0x300..=0x303).irq(5), alarm)?;

    // Until the guest first uses it, then ten milliseconds more.
    let ended = machine.run_until(Until::port_write(0x300).or(Until::millis(10_000)))?;
    if !matches!(ended, Ended::PortWrite { .. }) {
        return Err(format!("the guest does not use its device: {ended:?}").into());
    }
    machine.debug_output();
    machine.run_until(Until::time(GuestDuration::from_micros(10_500)))?;
    let dots = machine.debug_output();
    println!("{} in 10.5 ms", String::from_utf8_lossy(&dots));
    if dots.len() == 10 { Ok(()) } else { Err("expected ten".into()) }
}
