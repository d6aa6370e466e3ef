//! Nanobenchmarks as programs of the host: the same loop at the same addresses, in a process of its own.
//!
//! Exceptions become signals, whose handler steps over the instruction as the guest's handlers do: what a process pays
//! for them.

use super::{Lack, Runner};
use crate::compare::nano::{Nano, native};
use crate::elf::{self, Piece, ucontext};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::io;
use std::time::Duration;

/// The host.
#[derive(Default)]
pub struct NativeRunner {
    nano: Option<&'static Nano>,
}

impl Runner for NativeRunner {
    fn name(&self) -> &str {
        "native"
    }

    fn load(&mut self, nano: &'static Nano) -> Result<(), Lack> {
        if !nano.native {
            return Err(Lack::Meaningless("a program of the host may not do this".into()));
        }
        self.nano = Some(nano);
        Ok(())
    }

    fn run(&mut self, rounds: u32) -> Result<Duration, Lack> {
        let nano = self.nano.ok_or(Lack::Wrong("nothing is loaded".into()))?;
        let program = program(nano, rounds.max(1)).map_err(|e| Lack::Wrong(e.to_string()))?;
        let output = elf::run(&program).map_err(|e| match e.raw_os_error() {
            // ENOEXEC
            Some(8) => Lack::Unsupported("the host's kernel runs no 32-bit programs".into()),
            _ if e.kind() == io::ErrorKind::Unsupported => Lack::Unsupported(e.to_string()),
            _ => Lack::Unsupported(format!("no program can be started: {e}")),
        })?;
        let Ok(times) = <[u8; 16]>::try_from(output.stdout) else {
            return Err(Lack::Wrong(format!("the program ended with {}", output.status)));
        };
        let word = |n: usize| u32::from_le_bytes(std::array::from_fn(|k| times[4 * n + k]));
        let time = |n| Duration::new(word(n).into(), word(n + 1));
        Ok(time(2).saturating_sub(time(0)))
    }
}

/// The program: the loop between two looks at the clock.
fn program(nano: &Nano, rounds: u32) -> Result<Vec<u8>, IcedError> {
    const TIMES: u32 = native::SCRATCH + 32;
    let mut start = CodeAssembler::new(32)?;
    elf::catch_signals(&mut start, native::HANDLER, native::RESTORER, native::SCRATCH)?;
    elf::clock(&mut start, TIMES)?;
    for register in [eax, ebx, ecx, edx, esi, edi] {
        start.xor(register, register)?;
    }
    (nano.setup)(&mut start, 0)?;
    start.mov(ebp, rounds)?;
    start.jmp(u64::from(native::LOOP))?;
    let mut code = CodeAssembler::new(32)?;
    super::super::nano::counted(&mut code, nano)?;
    elf::clock(&mut code, TIMES + 8)?;
    elf::write_and_exit(&mut code, TIMES, 16)?;
    let mut handler = CodeAssembler::new(32)?;
    // The third argument is the context; the instruction that faulted has two bytes.
    handler.mov(eax, dword_ptr(esp + 12))?;
    handler.add(dword_ptr(eax + ucontext::EIP), 2)?;
    handler.ret()?;
    let mut restorer = CodeAssembler::new(32)?;
    elf::restorer(&mut restorer)?;
    let mut image = native::functions()?;
    for (at, code) in [
        (native::ORIGIN, &mut start),
        (native::LOOP, &mut code),
        (native::HANDLER, &mut handler),
        (native::RESTORER, &mut restorer),
    ] {
        let bytes = code.assemble(at.into())?;
        image[(at - native::ORIGIN) as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    let size = image.len() as u32;
    let data = Piece { at: native::DATA, bytes: Vec::new(), size: native::DATA_END - native::DATA };
    Ok(elf::executable(native::ORIGIN, &[Piece { at: native::ORIGIN, bytes: image, size }, data]))
}
