//! FXSAVE and FXRSTOR: x87, MMX and SSE state in one image of 512 bytes.
//!
//! SDM Vol. 1, "FXSAVE Area"; Vol. 2A, "FXSAVE", "FXRSTOR". Without SSE or CR4.OSFXSR the image has no SSE state: its
//! part of memory is left alone, and so are the registers.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::processor::Feature;
use crate::softfloat::F80;
use crate::state::control::{cr0, cr4};
use iced_x86::{Instruction, Mnemonic};

/// Bytes that are written: all but the last 224, of which the last 48 are the software's.
const X87_BYTES: usize = 160;
/// Where XMM0 is.
const XMM: usize = X87_BYTES;
const SSE_BYTES: usize = XMM + 8 * 16;
/// Where the x87 registers are, sixteen bytes for each.
const ST: usize = 32;
const MXCSR: usize = 24;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let handler: Handler = match i.mnemonic() {
        Mnemonic::Fxsave => fxsave,
        Mnemonic::Fxrstor => fxrstor,
        _ => return None,
    };
    Some(handler)
}

/// Whether the image has SSE state.
fn has_sse_state(cpu: &Cpu) -> bool {
    cpu.cr4 & cr4::OSFXSR != 0 && cpu.processor.has(Feature::Sse)
}

/// The checks of both, and the address. The image must lie on a 16-byte boundary.
fn address(cpu: &Cpu, insn: &Insn) -> Outcome<u64> {
    if cpu.cr0 & (cr0::EM | cr0::TS) != 0 {
        return Err(Fault::NM);
    }
    let ea = insn.ea(&cpu.gpr);
    let linear = cpu.linear_read(insn.segment, ea, 512)?;
    if linear % 16 != 0 { Err(Fault::GP0) } else { Ok(ea) }
}

fn fxsave(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let ea = address(cpu, insn)?;
    cpu.linear_write(insn.segment, ea, 512)?;
    let mut image = [0; SSE_BYTES];
    let x87 = &cpu.x87;
    let words = [x87.control, x87.status_word(), x87.valid.into(), x87.last_opcode];
    for (bytes, word) in image.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    for (at, (selector, offset)) in [(8, x87.last_ip), (16, x87.last_data)] {
        put(&mut image, at, &offset.to_le_bytes());
        put(&mut image, at + 4, &selector.to_le_bytes());
    }
    for i in 0..8 {
        put(&mut image, ST + 16 * i, &x87.st(i as u8).to_bytes());
    }
    if !has_sse_state(cpu) {
        // MXCSR and its mask stand between the pointers and the registers.
        cpu.probe_write(biu, cpu.linear_write(insn.segment, ea, X87_BYTES)?, X87_BYTES)?;
        cpu.write_block(biu, insn.segment, ea, &image[..MXCSR])?;
        return cpu.write_block(biu, insn.segment, ea + ST as u64, &image[ST..X87_BYTES]);
    }
    put(&mut image, MXCSR, &cpu.simd.mxcsr.to_le_bytes());
    put(&mut image, MXCSR + 4, &cpu.processor.features().mxcsr().to_le_bytes());
    for (i, xmm) in cpu.simd.xmm[..8].iter().enumerate() {
        put(&mut image, XMM + 16 * i, xmm);
    }
    cpu.write_block(biu, insn.segment, ea, &image)
}

fn fxrstor(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let ea = address(cpu, insn)?;
    let mut image = [0; SSE_BYTES];
    cpu.read_block(biu, insn.segment, ea, &mut image)?;
    if has_sse_state(cpu) {
        let mxcsr = u32::from_le_bytes(get(&image, MXCSR));
        if mxcsr & !cpu.processor.features().mxcsr() != 0 {
            return Err(Fault::GP0);
        }
        cpu.simd.mxcsr = mxcsr;
        for i in 0..8 {
            cpu.simd.xmm[i] = get(&image, XMM + 16 * i);
        }
    }
    let word = |at| u16::from_le_bytes(get(&image, at));
    let pointer = |at| (word(at + 4), u32::from_le_bytes(get(&image, at)));
    let x87 = &mut cpu.x87;
    x87.set_control(word(0));
    x87.set_status_word(word(2));
    x87.valid = image[4];
    x87.last_opcode = word(6) & 0x7FF;
    (x87.last_ip, x87.last_data) = (pointer(8), pointer(16));
    for i in 0..8 {
        x87.set_contents(i as u8, F80::from_bytes(get(&image, ST + 16 * i)));
    }
    cpu.drive_ferr(biu);
    Ok(())
}

fn put(image: &mut [u8; SSE_BYTES], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

fn get<const N: usize>(image: &[u8; SSE_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| image[at + i])
}
