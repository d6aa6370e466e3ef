//! INT 15h AH=83h and 86h: waiting for a time in microseconds. IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Event wait" and "Wait".

use super::succeed;
use crate::bios::bda::{self, ebda};
use crate::bios::call::Call;
use crate::bios::hardware::cmos::{self, address};
use crate::bios::hardware::{MICROSECOND, MILLISECOND, pic};

/// In AH: another wait is in progress.
const IN_PROGRESS: u8 = 0x83;

fn microseconds(call: &Call) -> u32 {
    u32::from(call.regs.cx()) << 16 | u32::from(call.regs.dx())
}

/// AH=86h: the caller goes on when CX:DX microseconds have passed.
pub(super) fn begin(call: &mut Call) {
    let end = call.io.now().saturating_add(u64::from(microseconds(call)) * MICROSECOND);
    ebda::WAIT_END.set(call.io, end);
    call.answer(true);
}

/// The caller of AH=86h has let interrupts through and asks again.
pub(in crate::bios) fn go_on(call: &mut Call) {
    let left = ebda::WAIT_END.get(call.io).saturating_sub(call.io.now());
    // No wait is longer than its register says, whatever became of the end.
    let left = left.min(u64::from(microseconds(call)) * MICROSECOND);
    call.answer(left > 0);
    if left > 0 {
        call.io.wait(left.min(MILLISECOND));
    } else {
        succeed(call);
    }
}

/// AH=83h: a bit is set at ES:BX when CX:DX microseconds have passed (AL=0), or not after all (AL=1). The periodic
/// interrupt of the real-time clock counts them.
pub(super) fn event(call: &mut Call) {
    let status = cmos::read(call.io, address::STATUS_B);
    match call.regs.al() {
        0x00 if bda::WAIT_ACTIVE.get(call.io) & 1 != 0 => {
            call.regs.set_ah(IN_PROGRESS);
            return call.return_carry(true);
        }
        0x00 => {
            let pointer = u32::from(call.regs.es.selector) << 16 | u32::from(call.regs.bx());
            bda::WAIT_FLAG_POINTER.set(call.io, pointer);
            let time = microseconds(call);
            bda::WAIT_MICROSECONDS.set(call.io, time);
            bda::WAIT_ACTIVE.set(call.io, 1);
            // 1024 Hz.
            cmos::write(call.io, address::STATUS_A, 0x26);
            cmos::write(call.io, address::STATUS_B, status | cmos::PERIODIC);
            pic::unmask(call.io, 8);
        }
        0x01 => {
            cmos::write(call.io, address::STATUS_B, status & !cmos::PERIODIC);
            bda::WAIT_ACTIVE.set(call.io, 0);
        }
        _ => return super::unsupported(call),
    }
    succeed(call);
}
