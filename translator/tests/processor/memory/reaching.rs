//! Operands whose place or length nobody knows before they are executed: bits beyond the operand that is named, and
//! string instructions that repeat. Each is executed several times, so that its pages are known to the last.

use super::{FAR, FRAME, everywhere, to_halt};
use crate::kit::{Kit, asm, place};
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::cr0;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;

/// How often each is executed.
const TIMES: u32 = 3;

/// Three pages at [`FAR`], of which the last has `rights`.
fn pages(rights: u32) -> Kit {
    let mut k = Kit::protected(0);
    k.page();
    for n in 0..3 {
        k.put32(k.pte(FAR + n * 0x1000), (FRAME + n * 0x1000) | if n == 2 { rights } else { 7 });
    }
    for n in 0..0xC00 {
        k.put32(FRAME + n * 4, n.wrapping_mul(0x9E37_79B9));
    }
    k.cpu.cr0 |= cr0::WP;
    k.cpu.state_changed();
    k
}

/// What becomes of a bit.
type Change = fn(bool) -> bool;

/// The second opcode byte of BT, BTS, BTR and BTC, and what becomes of the bit.
const BITS: [(u8, Change); 4] = [(0xA3, |b| b), (0xAB, |_| true), (0xB3, |_| false), (0xBB, |b| !b)];

/// SDM Vol. 2A, "BT": the bit at the number, signed, from the address.
#[test]
fn bits_are_counted_from_the_address_in_both_directions() {
    let numbers: [i32; 14] = [0, 1, 15, 16, 31, 32, 77, -1, -16, -33, 0x7FFF, -0x7FF0, 0x3FFF, -0x4000];
    for (opcode, change) in BITS {
        for number in numbers {
            for (wide, locked, at) in [
                (true, false, FAR + 0x1000),
                (false, false, FAR + 0x1000),
                (true, true, FAR + 0xFFE),
                (false, true, FAR + 0xFFF),
            ] {
                if locked && opcode == 0xA3 {
                    continue;
                }
                // [LOCK] OP [esi], ecx
                let mut code: Vec<u8> = if locked { vec![0xF0] } else { vec![] };
                code.extend(if wide { &[][..] } else { &[0x66] });
                code.extend([0x0F, opcode, 0x0E]);
                let round = [&[0xF9][..], &code, &[0x4D]].concat();
                let back = -(round.len() as i8) - 2;
                let build = || {
                    let mut k = pages(7);
                    k.put(place::CODE, &[&round[..], &[0x75, back as u8, 0xF4]].concat());
                    for (r, v) in [(gpr::SI, at), (gpr::CX, number as u32), (gpr::BP, TIMES)] {
                        k.cpu.gpr.set(r, v);
                    }
                    k
                };
                let name = format!("0F {opcode:X} of bit {number} at {at:x}, wide {wide}, locked {locked}");
                let k = everywhere(&name, build, |k| _ = to_halt(k));
                let fresh = build();
                let byte = at.wrapping_add_signed(number >> 3) - FAR + FRAME;
                let mask = 1 << (number & 7);
                let before = fresh.ram[byte as usize];
                let (mut bit, mut carry) = (before & mask != 0, false);
                for _ in 0..TIMES {
                    (carry, bit) = (bit, change(bit));
                }
                let wanted = before & !mask | if bit { mask } else { 0 };
                assert_eq!(k.ram[byte as usize], wanted, "{name}");
                // DEC leaves CF alone.
                assert_eq!(k.cpu.eflags.bits() & bit::CF != 0, carry, "{name}");
                let others = (0..0x3000).filter(|n| FRAME + n != byte);
                let mut moved = others.map(|n| (FRAME + n) as usize).filter(|n| k.ram[*n] != fresh.ram[*n]);
                assert_eq!(moved.next(), None, "{name}: another byte");
            }
        }
    }
}

/// A run of a repeated string instruction.
struct Repetition {
    prefix: u8,
    opcode: u8,
    small: bool,
    down: bool,
    count: u32,
    source: u32,
    destination: u32,
}

impl Repetition {
    fn code(&self) -> Vec<u8> {
        let &Repetition { count, source, destination, .. } = self;
        let set = asm(32, |a| {
            a.mov(ecx, count)?;
            a.mov(esi, source)?;
            a.mov(edi, destination)?;
            a.mov(eax, 0x7A7A_7A7A)
        });
        let mut round = vec![if self.down { 0xFD } else { 0xFC }];
        round.extend(set);
        round.extend(if self.small { &[0x66][..] } else { &[] });
        round.extend([self.prefix, self.opcode, 0x4D]);
        let back = -(round.len() as i8) - 2;
        round.extend([0x75, back as u8, 0xF4]);
        round
    }
}

fn repetitions() -> Vec<Repetition> {
    let mut all = Vec::new();
    let opcodes = [0xA4, 0xA5, 0xAA, 0xAB, 0xA6, 0xA7, 0xAE, 0xAF, 0xAC, 0xAD];
    let places = [
        (0x100, 0x1100),
        (0xFC0, 0x1000),
        (0x1FC0, 0x100),
        (0x100, 0x1FC0),
        // What was written is read again.
        (0x400, 0x401),
        (0x404, 0x400),
        (0xFFE, 0x1FFD),
        // The third page may not be there, or not be written.
        (0x1FF0, 0x2FE0),
    ];
    for opcode in opcodes {
        for (source, destination) in places {
            for (n, count) in [0, 1, 3, 16, 17, 0x3F0, 0x1000, 0x1001].into_iter().enumerate() {
                for prefix in [0xF3, 0xF2] {
                    let down = n % 4 == 3;
                    let small = opcode & 1 != 0 && n % 2 == 1;
                    let (source, destination) = (FAR + source, FAR + destination);
                    all.push(Repetition { prefix, opcode, small, down, count, source, destination });
                }
            }
        }
    }
    all
}

#[test]
fn repeated_instructions_end_where_the_interpreters_do() {
    for (n, r) in repetitions().into_iter().enumerate() {
        let rights = [7, 5, 0][n % 3];
        let build = || {
            let mut k = pages(rights);
            // Where comparisons find what they look for only late.
            for at in (0x100..0x140).chain(0x1100..0x1140) {
                k.put(FRAME + at, &[0x7A]);
            }
            k.put(place::CODE, &r.code());
            k.cpu.gpr.set(gpr::BP, TIMES);
            k
        };
        let name = format!(
            "{:X} {:X} small {} down {}, {} from {:x} to {:x}, last page {rights}",
            r.prefix, r.opcode, r.small, r.down, r.count, r.source, r.destination
        );
        let whole = everywhere(&name, build, |k| _ = to_halt(k));
        if n % 7 != 0 {
            continue;
        }
        // In pieces; each may end amid the iterations.
        let pieces = everywhere(&format!("{name}, in pieces"), build, |k| while k.run(13) == Stop::Budget {});
        let (mut a, b) = (whole.cpu.save(), pieces.cpu.save());
        a.rip = b.rip;
        assert_eq!(a, b, "{name}: pieces end as the whole does");
    }
}
