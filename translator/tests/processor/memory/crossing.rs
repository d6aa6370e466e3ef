//! Accesses that cross a page: every size, at every offset, with a second page that is elsewhere, absent, read-only or
//! the supervisor's.

use super::{FAR, FRAME, everywhere, to_halt};
use crate::kit::{Kit, Led, asm, place};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::gpr;

/// What is done at ESI, ESP (which is `Access::above` bytes further up) or EBP.
struct Access {
    name: &'static str,
    bytes: u32,
    writes: bool,
    above: u32,
    /// It has other accesses besides, and may have done some when it faults.
    several: bool,
    code: fn(&mut CodeAssembler) -> Result<(), IcedError>,
}

impl Access {
    fn uses_stack(&self) -> bool {
        ["push", "pop", "call", "enter", "leave"].iter().any(|name| self.name.starts_with(name))
    }
}

type Code = fn(&mut CodeAssembler) -> Result<(), IcedError>;

const fn one(name: &'static str, bytes: u32, writes: bool, code: Code) -> Access {
    Access { name, bytes, writes, above: 0, several: false, code }
}
const fn push(name: &'static str, bytes: u32, code: Code) -> Access {
    Access { name, bytes, writes: true, above: bytes, several: false, code }
}

const ACCESSES: &[Access] = &[
    one("mov al, m", 1, false, |a| a.mov(al, byte_ptr(esi))),
    one("mov ax, m", 2, false, |a| a.mov(ax, word_ptr(esi))),
    one("movzx eax, m16", 2, false, |a| a.movzx(eax, word_ptr(esi))),
    one("mov eax, m", 4, false, |a| a.mov(eax, dword_ptr(esi))),
    one("cmp m, eax", 4, false, |a| a.cmp(dword_ptr(esi), eax)),
    one("bt m, 3", 4, false, |a| a.bt(dword_ptr(esi), 3)),
    one("bt m, ecx", 4, false, |a| a.bt(dword_ptr(esi), ecx)),
    one("bts m, ecx", 4, true, |a| a.bts(dword_ptr(esi), ecx)),
    one("btc m, cx", 2, true, |a| a.btc(word_ptr(esi), cx)),
    one("movq mm0, m", 8, false, |a| a.movq(mm0, qword_ptr(esi))),
    one("fild m64", 8, false, |a| a.fild(qword_ptr(esi))),
    one("fld m80", 10, false, |a| a.fld(tbyte_ptr(esi))),
    one("movups xmm0, m", 16, false, |a| a.movups(xmm0, xmmword_ptr(esi))),
    one("mov m, bl", 1, true, |a| a.mov(byte_ptr(esi), bl)),
    one("mov m, bx", 2, true, |a| a.mov(word_ptr(esi), bx)),
    one("mov m, ebx", 4, true, |a| a.mov(dword_ptr(esi), ebx)),
    one("mov m, imm", 4, true, |a| a.mov(dword_ptr(esi), 0x1234_5678)),
    one("movq m, mm1", 8, true, |a| a.movq(qword_ptr(esi), mm1)),
    one("fstp m80", 10, true, |a| a.fstp(tbyte_ptr(esi))),
    one("movups m, xmm1", 16, true, |a| a.movups(xmmword_ptr(esi), xmm1)),
    one("add m, bl", 1, true, |a| a.add(byte_ptr(esi), bl)),
    one("sub m, bx", 2, true, |a| a.sub(word_ptr(esi), bx)),
    one("inc m", 4, true, |a| a.inc(dword_ptr(esi))),
    one("adc m, ebx", 4, true, |a| a.adc(dword_ptr(esi), ebx)),
    one("shl m, 3", 4, true, |a| a.shl(dword_ptr(esi), 3)),
    one("xchg m, ebx", 4, true, |a| a.xchg(dword_ptr(esi), ebx)),
    one("lock xadd m, ebx", 4, true, |a| a.lock().xadd(dword_ptr(esi), ebx)),
    one("cmpxchg m, ebx", 4, true, |a| a.cmpxchg(dword_ptr(esi), ebx)),
    one("cmpxchg8b m", 8, true, |a| a.cmpxchg8b(qword_ptr(esi))),
    one("setc m", 1, true, |a| a.setc(byte_ptr(esi))),
    push("push bx", 2, |a| a.push(bx)),
    push("push ebx", 4, |a| a.push(ebx)),
    push("push imm", 4, |a| a.push(0x1122_3344)),
    push("pushf", 4, |a| a.pushfd()),
    push("call", 4, |a| {
        let mut next = a.create_label();
        a.call(next)?;
        a.set_label(&mut next)?;
        a.nop()
    }),
    one("pop bx", 2, false, |a| a.pop(bx)),
    one("pop ebx", 4, false, |a| a.pop(ebx)),
    one("popf", 4, false, |a| a.popfd()),
    Access { several: true, ..one("leave", 4, false, |a| a.leave()) },
    Access { several: true, ..push("push m", 4, |a| a.push(dword_ptr(place::DATA))) },
    Access { several: true, ..push("pusha", 32, |a| a.pushad()) },
    Access { several: true, ..push("enter 8, 1", 8, |a| a.enter(8, 1)) },
    Access { several: true, ..one("popa", 32, false, |a| a.popad()) },
    Access { several: true, ..one("rep movsb", 16, false, |a| a.rep().movsb()) },
    Access { several: true, ..one("repe cmpsb", 16, false, |a| a.repe().cmpsb()) },
    Access { several: true, ..one("repne scasd at edi", 16, false, |a| a.repne().scasd()) },
    Access { several: true, ..one("rep stosd at edi", 16, true, |a| a.rep().stosd()) },
];

/// The second page's rights in its entry.
const RIGHTS: [u32; 4] = [7, 0, 5, 3];

fn check(access: &Access, cpl: u8, rights: u32, before_end: u32) {
    let at = FAR + 0x1000 - before_end;
    let second = FRAME + 0x3000;
    let build = || {
        let mut k = Kit::protected(cpl);
        k.page();
        k.put32(k.pte(FAR), FRAME | 7);
        k.put32(k.pte(FAR + 0x1000), second | rights);
        for n in 0..0x400 {
            k.put32(FRAME + n * 4, n.wrapping_mul(0x9E37_79B9) & 0x7FFF_FFFF);
            k.put32(second + n * 4, n.wrapping_mul(0x85EB_CA6B) & 0x7FFF_FFFF);
        }
        // What is known of both pages before.
        let prime = asm(32, |a| {
            a.mov(eax, dword_ptr(FAR + 8))?;
            a.mov(dword_ptr(FAR + 8), eax)?;
            if rights & 1 != 0 && (cpl == 0 || rights & 4 != 0) {
                a.mov(eax, dword_ptr(FAR + 0x1008))?;
            }
            if rights == 7 {
                a.mov(dword_ptr(FAR + 0x1008), eax)?;
            }
            a.xor(eax, eax)
        });
        let code = asm(32, access.code);
        k.put(place::CODE, &[prime, code, vec![0xF4]].concat());
        // Elsewhere, a fault's frame does not come between.
        k.cpu.gpr.set(gpr::SP, if access.uses_stack() { at + access.above } else { place::STACKS[0] });
        for (r, v) in [(gpr::SI, at), (gpr::DI, at), (gpr::BP, at), (gpr::BX, 0x8765_4321), (gpr::CX, 4)] {
            k.cpu.gpr.set(r, v);
        }
        k.cpu.cr0 |= cr0::WP;
        k.cpu.cr4 |= cr4::OSFXSR;
        k.cpu.state_changed();
        k
    };
    let name = format!("{} at level {cpl}, {before_end} before the end, second page {rights:x}", access.name);
    let k = everywhere(&name, build, |k| {
        to_halt(k);
    });
    // The kernel's stack also takes the frame of the fault, which may fault itself.
    if access.several || access.uses_stack() && cpl == 0 {
        return;
    }
    let user = u32::from(cpl == 3);
    let reaches = before_end < access.bytes;
    let denied = rights & 1 == 0 || user == 1 && rights & 4 == 0 || access.writes && rights & 2 == 0;
    let faults = reaches && denied;
    if !faults {
        // In user mode the HLT faults.
        assert!(k.cpu.cr2 == 0, "{name}: no page fault");
        return;
    }
    let code = rights & 1 | u32::from(access.writes) << 1 | user << 2;
    let in_handler = Led::To(14, Some(code));
    let mut k = k;
    k.cpu.rip -= 1;
    assert_eq!(k.led(), in_handler, "{name}");
    let wanted = if before_end == 0 { at } else { FAR + 0x1000 };
    assert_eq!(k.cpu.cr2 as u32, wanted, "{name}");
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::BX), 0x8765_4321, "{name}");
    // A fault leaves nothing behind.
    let fresh = build();
    for frame in [FRAME, second] {
        let page = |k: &Kit| k.ram[frame as usize..][..0x1000].to_vec();
        assert!(page(&k) == page(&fresh), "{name}: memory");
    }
}

fn at_every_offset(cpl: u8) {
    for access in ACCESSES {
        for before_end in 0..=access.bytes + 1 {
            // All rights where both pages count, few else.
            let rights = if before_end > 0 && before_end < access.bytes { &RIGHTS[..] } else { &RIGHTS[..2] };
            rights.iter().for_each(|rights| check(access, cpl, *rights, before_end));
        }
    }
}

#[test]
fn kernel_accesses_across_pages() {
    at_every_offset(0);
}

#[test]
fn user_accesses_across_pages() {
    at_every_offset(3);
}
