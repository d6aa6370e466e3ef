//! Listings of translation units: what the guest's code is, and what became of it.

use crate::cache::{Cache, Unit};
use crate::host::arena::CodeArena;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};
use std::fmt::Write;

/// Guest and host instructions of `unit`, with guest addresses as EIP and host addresses as offsets in the arena.
pub fn listing(unit: &Unit, code_size: u32, arena: &CodeArena) -> String {
    let mut out = String::new();
    let (first, bytes) = (unit.eip, unit.length());
    let _ = writeln!(out, "unit at EIP {first:08X}, {bytes} bytes of {code_size}-bit code");
    let mut formatter = NasmFormatter::new();
    let mut line = |address: u32, instruction: &Instruction, indent: &str| {
        let mut text = String::new();
        formatter.format(instruction, &mut text);
        let _ = writeln!(out, "{indent}{address:08X} {text}");
    };
    for guest in &unit.guest {
        let eip = unit.eip.wrapping_add(guest.offset);
        let mut instruction = guest.instruction;
        if instruction.is_jcc_short_or_near()
            || instruction.is_jmp_short_or_near()
            || instruction.is_call_near()
        {
            // Decoded at address 0: its target counts from there.
            instruction.set_near_branch32(instruction.near_branch32().wrapping_add(eip));
        }
        line(eip, &instruction, "  ");
    }
    let code = arena.read(unit.at, unit.size as usize);
    let decoder = Decoder::with_ip(64, code, u64::from(unit.at), DecoderOptions::NONE);
    for instruction in decoder {
        line(instruction.ip() as u32, &instruction, "      ");
    }
    out
}

impl Cache {
    /// The units whose code begins at one of `ram`, offsets in RAM.
    pub fn listing(&self, ram: &[u64]) -> String {
        let alive = self.units.iter().filter(|unit| unit.is_alive() && ram.contains(&unit.ram));
        alive
            .map(|unit| listing(unit, self.spaces[unit.space as usize].key.code_size(), &self.arena))
            .collect()
    }
}
