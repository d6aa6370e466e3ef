//! The attribute table against what instructions do: flags that are not written stay, flags that are not read do not
//! matter, and innocuous instructions neither see nor change what a monitor owns.

use crate::engine::{Engine, Memory};
use iced_x86::Instruction;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode::attrs::{self, Class, Sensitivity};
use idem86_cpu::decode::{MAX_LENGTH, decode};
use idem86_cpu::flat::FlatBus;
use idem86_cpu::state::control::cr0;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::save::{CpuState, SegmentState};
use idem86_cpu::state::segment::AccessRights;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

const RAM: usize = 0x4000;
const CODE: u64 = 0x1000;

/// A machine that is put into one state after the other.
struct Bench {
    cpu: Cpu,
    ram: Memory,
    bus: FlatBus,
    engine: Engine,
}

/// What an instruction led to.
#[derive(Clone, PartialEq, Eq)]
struct After {
    state: CpuState,
    memory: Vec<u8>,
}

impl After {
    fn flags(&self) -> u32 {
        self.state.eflags
    }
    /// Everything but the flags of `mask`.
    fn without_flags(&self, mask: u32) -> After {
        let mut a = self.clone();
        a.state.eflags &= !mask;
        a
    }
}

impl Bench {
    /// Executes one instruction in flat 32-bit segments at privilege level `cpl`; `None` if it faults.
    fn run(&mut self, gpr: [u64; 8], eflags: u32, cpl: u8, memory: &[u8]) -> Option<After> {
        self.ram[..memory.len()].copy_from_slice(memory);
        let mut s = Cpu::new().save();
        s.gpr[..8].copy_from_slice(&gpr);
        s.rip = CODE;
        s.eflags = eflags | bit::ONE;
        s.cr0 = cr0::PE | cr0::ET;
        s.cpl = cpl;
        s.seg = std::array::from_fn(|n| SegmentState {
            selector: 8,
            access: AccessRights(if n == 1 { 0xC09B } else { 0xC093 } | (cpl as u16) << 5),
            limit: u32::MAX,
            base: 0,
        });
        // No handler can be entered.
        s.idtr.limit = 0;
        self.cpu.restore(&s).expect("a possible state");
        self.engine.run(&mut self.cpu, &mut self.ram, &mut self.bus, 1);
        let state = self.cpu.save();
        (!state.shutdown).then(|| After { state, memory: self.ram.to_vec() })
    }
}

fn is_integer(i: &Instruction) -> bool {
    !matches!(attrs::class(i), None | Some(Class::X87 | Class::Mmx | Class::Sse | Class::Sse2 | Class::Sse3))
}

#[test]
fn the_table_says_what_instructions_do() {
    let mut random = Random(0x0A77_2B5F);
    let mut bench = Bench {
        cpu: Cpu::new(),
        ram: Memory::new(RAM),
        bus: FlatBus::new(RAM),
        engine: Engine::under_test(),
    };
    let mut seen = std::collections::HashSet::new();
    let mut codes = std::collections::HashSet::new();
    for _ in 0..60_000 {
        let mut bytes: Vec<u8> = (0..MAX_LENGTH).map(|_| random.next() as u8).collect();
        if random.next().is_multiple_of(3) {
            bytes[0] = 0x0F;
        }
        if random.next().is_multiple_of(4) {
            bytes.insert(0, [0x66, 0x67, 0xF2, 0xF3][(random.next() % 4) as usize]);
        }
        let Ok(i) = decode(&bytes, 32) else { continue };
        // Every kind of instruction, but the same one not too often.
        if !is_integer(&i) || !seen.insert((i.code(), random.next() % 32)) {
            continue;
        }
        if attrs::sensitivity(&i) == Sensitivity::Sensitive {
            continue;
        }
        let mut memory: Vec<u8> = (0..RAM).map(|_| random.next() as u8).collect();
        memory[CODE as usize..][..bytes.len()].copy_from_slice(&bytes);
        let gpr = std::array::from_fn(|_| match random.next() % 4 {
            0 => random.next() & 0xFFFF_FFFF,
            1 => random.next() & 3,
            _ => 0x2000 + (random.next() & 0x1FFF),
        });
        let flags = random.next() as u32 & bit::ARITHMETIC;
        let Some(after) = bench.run(gpr, flags, 3, &memory) else { continue };
        codes.insert(i.code());
        let name = format!("{:?} {:02x?}", i.code(), &bytes[..i.len()]);
        let cl = gpr[1] as u8;
        let f = attrs::flags_with_cl(&i, cl);
        let kept = bit::ARITHMETIC & !(f.written | f.undefined);
        assert_eq!(after.flags() & kept, flags & kept, "{name}: flags that are kept");

        // Other values of flags that are not read: nothing else changes.
        let others = flags ^ (random.next() as u32 & bit::ARITHMETIC & !f.read);
        let again = bench.run(gpr, others, 3, &memory).expect("the same");
        let own = bit::ARITHMETIC & !(f.written & !f.kept);
        assert!(after.without_flags(own) == again.without_flags(own), "{name}: flags that are not read");

        let privileged = bench.run(gpr, flags | bit::IOPL | bit::IF | bit::NT, 0, &memory).expect("the same");
        let state = CpuState {
            cpl: 3,
            seg: after.state.seg,
            eflags: privileged.flags() & !(bit::IOPL | bit::IF | bit::NT),
            ..privileged.state.clone()
        };
        assert_eq!(state, after.state, "{name}: at another privilege level");
        assert!(privileged.memory == after.memory, "{name}: memory at another privilege level");
        assert_eq!(privileged.state.seg.map(|s| s.selector), [8; 6], "{name}: segments");
        assert_eq!(privileged.flags() & bit::IOPL, bit::IOPL, "{name}: system flags");
    }
    assert!(codes.len() > 400, "only {} kinds of instructions", codes.len());
}
