//! What the tests share: boot sectors, engines, machines.

use iced_x86::code_asm::*;
use idem86::machine::engine::{Engine, EngineKind, Options};
use idem86::{Builder, Machine};

/// The engines that this host can run.
pub fn engines() -> Vec<EngineKind> {
    let all = [EngineKind::Interpreter, EngineKind::Translator(Options::default())];
    all.into_iter().filter(|kind| Engine::new(*kind).is_ok()).collect()
}

/// A floppy whose boot sector is what `write` assembles at 7C00h, behind a prologue that clears DS and ES and puts the
/// stack below.
pub fn floppy(write: impl FnOnce(&mut CodeAssembler)) -> Vec<u8> {
    let mut a = CodeAssembler::new(16).unwrap();
    a.xor(ax, ax).unwrap();
    a.mov(ds, ax).unwrap();
    a.mov(es, ax).unwrap();
    a.mov(ss, ax).unwrap();
    a.mov(sp, 0x7C00).unwrap();
    write(&mut a);
    let mut image = a.assemble(0x7C00).unwrap();
    assert!(image.len() <= 510, "the boot sector has {} bytes", image.len());
    image.resize(510, 0);
    image.extend([0x55, 0xAA]);
    image.resize(1_474_560, 0);
    image
}

/// Sets COM1 to characters of eight bits, and leaves its port in DX.
pub fn open_serial(a: &mut CodeAssembler) {
    a.mov(dx, 0x3FB).unwrap();
    a.mov(al, 3).unwrap();
    a.out(dx, al).unwrap();
    a.mov(dx, 0x3F8).unwrap();
}

/// Prints `text` at COM1.
pub fn print(a: &mut CodeAssembler, text: &str) {
    open_serial(a);
    for byte in text.bytes() {
        a.mov(al, i32::from(byte)).unwrap();
        a.out(dx, al).unwrap();
    }
}

/// Stops for ever.
pub fn stop(a: &mut CodeAssembler) {
    a.cli().unwrap();
    a.hlt().unwrap();
}

/// A small machine that boots `floppy`.
pub fn machine(engine: EngineKind, floppy: Vec<u8>) -> Builder {
    Machine::builder().memory(4 << 20).engine(engine).floppy(floppy)
}
