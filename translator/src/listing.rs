//! Listings of translation units: what the guest's code is, and what became of it.

use crate::cache::{Cache, Unit};
use crate::watched::Watched;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};
use idem86_cpu::decode::decode;
use std::fmt::Write;

impl Cache {
    /// The units `ids`, as far as they are still there.
    pub fn watched(&self, ids: &[u32], ram: &[u8]) -> Watched {
        let mut watched = Watched::default();
        for unit in ids.iter().filter_map(|id| self.units.get(*id as usize)).filter(|u| u.is_alive()) {
            watched.listing += &self.unit_listing(unit, ram);
            let (address, size) = (self.arena.base() + u64::from(unit.at), unit.size);
            let _ = writeln!(watched.map, "{address:x} {size:x} guest EIP {:08X}", unit.eip);
        }
        watched
    }

    /// Guest and host instructions of the units whose code begins at one of `at`, offsets in `ram`. Guest addresses
    /// are EIP, host addresses offsets in the arena.
    pub fn listing(&self, at: &[u64], ram: &[u8]) -> String {
        let alive = self.units.iter().filter(|unit| unit.is_alive() && at.contains(&unit.ram));
        alive.map(|unit| self.unit_listing(unit, ram)).collect()
    }

    fn unit_listing(&self, unit: &Unit, ram: &[u8]) -> String {
        let mut out = String::new();
        let size = self.spaces[unit.space as usize].key.code_size();
        let (eip, bytes) = (unit.eip, unit.length);
        let _ = writeln!(out, "unit at EIP {eip:08X}, {bytes} bytes of {size}-bit code");
        let mut formatter = NasmFormatter::new();
        let mut line = |address: u32, instruction: &Instruction, indent: &str| {
            let mut text = String::new();
            formatter.format(instruction, &mut text);
            let _ = writeln!(out, "{indent}{address:08X} {text}");
        };
        for insn in &unit.insns {
            let offset = u32::from(insn.offset) - u32::from(insn.length);
            let bytes = ram.get((unit.ram + u64::from(offset)) as usize..).unwrap_or_default();
            let Ok(mut instruction) = decode(bytes, size) else { continue };
            if instruction.op0_kind() == iced_x86::OpKind::NearBranch32 {
                // Decoded at address 0: its target counts from there.
                let target = instruction.near_branch32().wrapping_add(eip).wrapping_add(offset);
                instruction.set_near_branch32(target);
            }
            line(eip.wrapping_add(offset), &instruction, "  ");
        }
        let code = self.arena.read(unit.at, unit.size as usize);
        for instruction in Decoder::with_ip(64, code, u64::from(unit.at), DecoderOptions::NONE) {
            line(instruction.ip() as u32, &instruction, "      ");
        }
        out
    }
}
