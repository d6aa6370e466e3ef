//! The protected-mode interface of VBE 2.0: functions 05h, 07h and 09h as 32-bit code that programs copy and call.
//! VBE 3.0, "Protected Mode Interface (VBE 2.0)".

use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Index port of the display interface.
const INDEX: i32 = 0x1CE;

/// The table of offsets, then the code. It uses ports alone, so it needs no memory.
pub(crate) fn interface() -> Result<Vec<u8>, IcedError> {
    let parts = [set_window()?, set_display_start()?, set_palette()?];
    // Window, display start, palette, and a list of ports and memory, of which there is none.
    const TABLE: usize = 8;
    let mut bytes = vec![0; TABLE];
    for (n, part) in parts.iter().enumerate() {
        let offset = bytes.len() as u16;
        bytes[2 * n..2 * n + 2].copy_from_slice(&offset.to_le_bytes());
        bytes.extend(part);
    }
    Ok(bytes)
}

/// Writes AX to register `index`. Changes EDX; AX stays.
fn write(a: &mut CodeAssembler, index: i32) -> Result<(), IcedError> {
    a.push(eax)?;
    a.mov(edx, INDEX)?;
    a.mov(ax, index)?;
    a.out(dx, ax)?;
    a.inc(edx)?;
    a.pop(eax)?;
    a.out(dx, ax)
}

/// Function 05h: DX is the bank.
fn set_window() -> Result<Vec<u8>, IcedError> {
    const BANK: i32 = 5;
    let mut a = CodeAssembler::new(32)?;
    a.push(edx)?;
    a.mov(eax, edx)?;
    write(&mut a, BANK)?;
    a.pop(edx)?;
    a.mov(ax, 0x004F)?;
    a.ret()?;
    a.assemble(0)
}

/// Function 07h: DX:CX is the display start in units of four bytes. The display wants pixel and line: the bytes of a
/// line are the virtual width times those of a pixel.
fn set_display_start() -> Result<Vec<u8>, IcedError> {
    const BITS_PER_PIXEL: i32 = 3;
    const VIRTUAL_WIDTH: i32 = 6;
    const X_OFFSET: i32 = 8;
    const Y_OFFSET: i32 = 9;
    let mut a = CodeAssembler::new(32)?;
    for register in [ebx, ecx, edx, esi] {
        a.push(register)?;
    }
    // ESI: the start in bytes.
    a.shl(edx, 16)?;
    a.movzx(esi, cx)?;
    a.or(esi, edx)?;
    a.shl(esi, 2)?;
    // EBX: bytes of a pixel. ECX: bytes of a line.
    for (index, register) in [(BITS_PER_PIXEL, ebx), (VIRTUAL_WIDTH, ecx)] {
        a.mov(edx, INDEX)?;
        a.mov(ax, index)?;
        a.out(dx, ax)?;
        a.inc(edx)?;
        a.in_(ax, dx)?;
        a.movzx(register, ax)?;
    }
    a.add(ebx, 7)?;
    a.shr(ebx, 3)?;
    a.imul_2(ecx, ebx)?;
    let mut zero = a.create_label();
    a.test(ecx, ecx)?;
    a.jz(zero)?;
    a.mov(eax, esi)?;
    a.xor(edx, edx)?;
    a.div(ecx)?;
    // Line in EAX, bytes into it in EDX.
    a.mov(esi, edx)?;
    write(&mut a, Y_OFFSET)?;
    a.mov(eax, esi)?;
    a.xor(edx, edx)?;
    a.div(ebx)?;
    write(&mut a, X_OFFSET)?;
    a.set_label(&mut zero)?;
    for register in [esi, edx, ecx, ebx] {
        a.pop(register)?;
    }
    a.mov(ax, 0x004F)?;
    a.ret()?;
    a.assemble(0)
}

/// Function 09h: ECX colours from DL on, at ES:EDI, as blue, green, red and a byte that does not count.
fn set_palette() -> Result<Vec<u8>, IcedError> {
    const DAC_WRITE_INDEX: i32 = 0x3C8;
    let mut a = CodeAssembler::new(32)?;
    let [mut next, mut done] = [a.create_label(), a.create_label()];
    for register in [ecx, edx, edi] {
        a.push(register)?;
    }
    a.movzx(ecx, cx)?;
    a.mov(al, dl)?;
    a.mov(edx, DAC_WRITE_INDEX)?;
    a.out(dx, al)?;
    a.inc(edx)?;
    a.set_label(&mut next)?;
    a.jecxz(done)?;
    for part in [2, 1, 0] {
        a.mov(al, byte_ptr(edi + part).es())?;
        a.out(dx, al)?;
    }
    a.add(edi, 4)?;
    a.dec(ecx)?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    for register in [edi, edx, ecx] {
        a.pop(register)?;
    }
    a.mov(ax, 0x004F)?;
    a.ret()?;
    a.assemble(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_leads_to_code_that_returns() {
        let bytes = interface().unwrap();
        let offset = |n: usize| usize::from(u16::from_le_bytes([bytes[2 * n], bytes[2 * n + 1]]));
        assert_eq!(offset(0), 8);
        for n in 1..3 {
            assert_eq!(bytes[offset(n) - 1], 0xC3, "the part before ends with RET");
        }
        assert_eq!(bytes.last(), Some(&0xC3));
        assert_eq!(offset(3), 0, "no ports or memory to be mapped");
    }
}
