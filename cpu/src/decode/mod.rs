//! Decoding: bytes to [`insn::Insn`], by iced-x86.

pub mod attrs;
pub mod insn;
#[cfg(test)]
mod tests;

use crate::event::exception::Fault;
use crate::exec::{dispatch, x87};
use crate::processor::Processor;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};
use insn::Insn;

/// The longest instruction. SDM Vol. 2A, "Instruction Format".
pub const MAX_LENGTH: usize = 15;

/// F3 0F BC and F3 0F BD are BSF and BSR with an ignored prefix before BMI1, and F3 0F 09 is WBINVD. What later
/// became of 0F 0D and 0F 18 to 0F 1F (hints, control-flow enforcement) is a NOP.
const OPTIONS: u32 = DecoderOptions::NO_MPFX_0FBC
    | DecoderOptions::NO_MPFX_0FBD
    | DecoderOptions::NO_WBNOINVD
    | DecoderOptions::FORCE_RESERVED_NOP;

/// Why bytes are not an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// More bytes are needed than were given (and fewer than [`MAX_LENGTH`] were).
    Incomplete,
    /// The processor raises this.
    Fault(Fault),
}

/// Decodes the instruction at the start of `bytes`, of which at most [`MAX_LENGTH`] count. `code_size` is 16, 32
/// or 64.
pub fn decode(bytes: &[u8], code_size: u32) -> Result<Instruction, Undecodable> {
    let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
    let mut decoder = Decoder::with_ip(code_size, bytes, 0, OPTIONS);
    let i = decoder.decode();
    if !i.is_invalid() {
        return Ok(i);
    }
    if decoder.last_error() == DecoderError::NoMoreBytes {
        // An instruction longer than 15 bytes. SDM Vol. 3A, "Interrupt 13—General Protection Exception (#GP)".
        return Err(if bytes.len() == MAX_LENGTH {
            Undecodable::Fault(Fault::GP0)
        } else {
            Undecodable::Incomplete
        });
    }
    let too_long = bytes.len() == MAX_LENGTH
        && without_redundant_prefix(bytes)
            .is_some_and(|shorter| decode(&shorter, code_size) == Err(Undecodable::Incomplete));
    Err(Undecodable::Fault(if too_long { Fault::GP0 } else { Fault::UD }))
}

/// The instruction at the start of `bytes`, in words, and its length; `ip` is where it is, for the targets of branches.
/// `None` if it is none.
pub fn disassemble(bytes: &[u8], code_size: u32, ip: u64) -> Option<(String, usize)> {
    let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
    let i = Decoder::with_ip(code_size, bytes, ip, OPTIONS).decode();
    (!i.is_invalid()).then(|| (i.to_string(), i.len()))
}

/// The bytes less a prefix that is there twice. Nothing but such prefixes makes an instruction longer than 15 bytes,
/// and only without one can it be told from one that is undefined.
fn without_redundant_prefix(bytes: &[u8]) -> Option<Vec<u8>> {
    const PREFIXES: [u8; 11] = [0x66, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0xF0, 0xF2, 0xF3];
    let prefixes = bytes.iter().take_while(|b| PREFIXES.contains(b)).count();
    let twice = (0..prefixes).find(|n| bytes[n + 1..prefixes].contains(&bytes[*n]))?;
    Some(bytes.iter().enumerate().filter(|(n, _)| *n != twice).map(|(_, b)| *b).collect())
}

/// As [`decode`], with the handler chosen that `processor` has.
pub fn decode_insn(
    bytes: &[u8],
    code_size: u32,
    processor: Processor,
) -> Result<(Insn, attrs::Flow), Undecodable> {
    let escape = x87::opcode(bytes);
    let (mut insn, flow) = match (decode(bytes, code_size), escape) {
        (Ok(i), Some(_)) if !processor.executes(&i) => (Insn::new(&i, x87::undefined), attrs::Flow::End),
        (Ok(i), None) if !processor.executes(&i) => (Insn::new(&i, dispatch::undefined), attrs::Flow::End),
        (Ok(i), _) => return Ok((lay_out(&i, bytes), attrs::flow(&i))),
        (Err(error), Some((opcode, length))) if is_no_escape(opcode, error) => {
            let mut i = Instruction::default();
            i.set_len(length);
            (Insn::new(&i, x87::undefined), attrs::Flow::End)
        }
        (Err(error), _) => return Err(error),
    };
    if let Some((opcode, _)) = escape {
        insn.imm = opcode.into();
    }
    Ok((insn, flow))
}

/// The instruction `i` that was decoded from `bytes`, which the processor has, as it is executed.
pub fn lay_out(i: &Instruction, bytes: &[u8]) -> Insn {
    let insn = Insn::new(i, dispatch::select(i));
    match x87::opcode(bytes) {
        Some((opcode, _)) => Insn { imm: opcode.into(), ..insn },
        None => insn,
    }
}

/// Whether an x87 opcode that was not decoded is none. Those with a register need no more bytes than ModRM, though
/// iced-x86 asks for another.
fn is_no_escape(opcode: u16, error: Undecodable) -> bool {
    error == Undecodable::Fault(Fault::UD) || error == Undecodable::Incomplete && opcode & 0xC0 == 0xC0
}
