//! A reset as the way back from protected mode: what the shutdown byte in CMOS memory wants. IBM PC/AT Technical
//! Reference, "Power-On Self-Test", "Shutdown".

use crate::bios::bda;
use crate::bios::call::Call;
use crate::bios::hardware::{keyboard_controller as controller, pic};
use crate::platform::Segment;

/// Goes on at 40:67 after an end of interrupt.
const JUMP_WITH_EOI: u8 = 0x05;
/// Goes on by IRET from the stack at 40:67: the end of a block move of IBM's BIOS.
const RETURN_FROM_INTERRUPT: u8 = 0x09;
/// Goes on at 40:67.
const JUMP: u8 = 0x0A;
/// Goes on by RETF from the stack at 40:67.
const RETURN: u8 = 0x0C;

/// Goes on as `reason` wants. Gives whether it wants anything.
pub(super) fn resume(call: &mut Call, reason: u8) -> bool {
    let pointer = bda::RESUME.get(call.io);
    let (offset, segment) = (pointer as u16, (pointer >> 16) as u16);
    match reason {
        JUMP_WITH_EOI | JUMP => {
            if reason == JUMP_WITH_EOI {
                controller::flush(call.io);
                pic::end(call.io, true);
            }
            call.regs.cs = Segment::real(segment);
            call.regs.eip = offset.into();
        }
        RETURN_FROM_INTERRUPT | RETURN => {
            call.regs.ss = Segment::real(segment);
            call.regs.esp = offset.into();
            let frame = call.regs.ss.at(offset.into());
            if reason == RETURN_FROM_INTERRUPT {
                // What IBM's block move has pushed: DS, ES, all registers.
                return_from_block_move(call, frame);
            } else {
                let target: u32 = call.get(frame);
                jump(call, target, offset.wrapping_add(4));
            }
        }
        _ => return false,
    }
    true
}

fn jump(call: &mut Call, target: u32, stack: u16) {
    call.regs.cs = Segment::real((target >> 16) as u16);
    call.regs.eip = target & 0xFFFF;
    call.regs.esp = stack.into();
}

fn return_from_block_move(call: &mut Call, frame: u32) {
    let word = |call: &mut Call, n: u32| call.get::<u16>(frame.wrapping_add(2 * n));
    call.regs.ds = Segment::real(word(call, 0));
    call.regs.es = Segment::real(word(call, 1));
    // POPA: DI, SI, BP, nothing, BX, DX, CX, AX.
    let [di, si, bp, _, bx, dx, cx, ax] = std::array::from_fn(|n| word(call, 2 + n as u32));
    let regs = &mut call.regs;
    regs.set_di(di);
    regs.set_si(si);
    regs.set_bp(bp);
    regs.set_bx(bx);
    regs.set_dx(dx);
    regs.set_cx(cx);
    regs.set_ax(ax);
    let target = call.get::<u32>(frame.wrapping_add(20));
    let stack = (call.regs.esp as u16).wrapping_add(26);
    jump(call, target, stack);
}
