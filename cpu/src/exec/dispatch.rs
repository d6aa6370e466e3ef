//! From decoded instruction to handler.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::attrs;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::exec::{
    alu, atomic, bcd, bit, branch, control, far, flagctl, flags, fxsave, interrupt, iret, misc, mov, msr,
    muldiv, portio, segload, shift, simd, stack, string, sysenter, system, tables, verify, x87,
};
use iced_x86::Instruction;

/// What a family's `select` looks like.
type Select = fn(&Instruction) -> Option<Handler>;

/// The families; the most frequent first.
const FAMILIES: &[Select] = &[
    mov::select,
    alu::select,
    branch::select,
    stack::select,
    shift::select,
    x87::select,
    simd::select,
    string::select,
    muldiv::select,
    bit::select,
    flags::select,
    atomic::select,
    bcd::select,
    misc::select,
    portio::select,
    segload::select,
    flagctl::select,
    far::select,
    iret::select,
    interrupt::select,
    control::select,
    tables::select,
    verify::select,
    msr::select,
    sysenter::select,
    system::select,
    fxsave::select,
];

/// The handler of `i`. What the attribute table does not have is an instruction of a later processor: #UD.
pub fn select(i: &Instruction) -> Handler {
    if attrs::class(i).is_none() {
        return undefined;
    }
    FAMILIES.iter().find_map(|family| family(i)).unwrap_or(undefined)
}

/// #UD.
pub fn undefined(_: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    Err(Fault::UD)
}
