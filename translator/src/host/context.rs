//! The door between Rust and translated code: the context that both see, and the way in and out.

use super::arena::CodeArena;
use super::crossing::Crossings;
use super::descriptors::KnownDescriptors;
use super::extended::ExtendedState;
use super::{FaultGuard, guarded};
use crate::emit::stubs::Stubs;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Distance of the context register from the context: it makes the register's low six bits 40, so that it is also
/// the count of shifts by 40.
pub const CONTEXT_BIAS: i32 = 40;

/// What translated code keeps in memory. Offsets are taken by [`std::mem::offset_of`].
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Context {
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI while outside translated code.
    pub gpr: [u64; 8],
    /// The arithmetic flags: SF, ZF, AF, PF, CF at bits 8 to 15 as LAHF gives them, OF at bit 0.
    pub flags: u64,
    /// Work that may still be done, plus [`BUDGET_BIAS`].
    pub budget: u64,
    /// EIP where translated code was left.
    pub eip: u64,
    /// The link by which it was left, or 0.
    pub link: u64,
    /// Linear address of the access that takes the slow path.
    pub linear: u64,
    /// Shadow tables of the view that runs, plus the bias of the shift count.
    pub tables: u64,
    /// What r15 holds: the window of the view that runs, or the mask that extracts a table index.
    pub memory: u64,
    /// The mask that extracts a table index.
    pub index_mask: u64,
    /// The table that leads from EIP to code.
    pub eip_table: u64,
    /// The bits of EFLAGS that are not arithmetic, without IF.
    pub system: u64,
    /// IF.
    pub interrupts: u64,
    /// 1 while no interrupt waits for IF and no NMI for IRET, else 0.
    pub quiet: u64,
    /// Not 0, by number: segment registers that were loaded, of which the processor does not know yet.
    pub reloaded: [u8; 8],
    /// The last descriptor, not 0, that was loaded into each of them.
    pub loaded: [u64; 6],
    /// Not 0, by number: segment registers that a return to CPL 3 takes away.
    pub private: [u8; 8],
    /// A value on its way between two accesses of one instruction.
    pub spill: u64,
    /// ECX, ESI and EDI before a repeated comparison in a window, which begins again if it faults.
    pub began: [u64; 3],
    /// The function that callouts call.
    pub callout: u64,
    /// The work that will be retired when the budget is used up.
    pub end: u64,
    /// By how much the time-stamp counter grows with each unit of work; 0 if it does otherwise, may not be read, or was
    /// not read yet.
    pub time_rate: u64,
    /// What it was before any work.
    pub time_origin: u64,
    /// [`Context::end`] plus [`BUDGET_BIAS`]: less the budget in its register, it is the work that is retired.
    pub time_work: u64,
    /// 1 as soon as the time-stamp counter was read.
    pub time_wanted: u64,
    /// The stay that is open.
    pub passage: u64,
    /// The last fault of translated code.
    pub fault: Fault,
    /// Selectors in ES, CS, SS, DS, FS, GS.
    pub selectors: [u64; 6],
    /// Their bases.
    pub seg_base: [u64; 6],
    /// What may be read through them; see [`Context::limit`].
    pub seg_read: [u64; 6],
    /// What may be written through them.
    pub seg_write: [u64; 6],
    /// What is known of descriptors in the GDT.
    pub known: KnownDescriptors,
    /// GDTR when that was learnt: base and limit.
    pub gdtr: (u64, u16),
    /// What is known of changes of privilege.
    pub crossings: Crossings,
    /// The registers of x87, MMX and SSE.
    pub extended: ExtendedState,
}

/// A fault of translated code on the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// The instruction, as an offset in the arena.
    pub rip: u64,
    /// The address that it accessed, for memory faults.
    pub address: u64,
    /// The host's exception.
    pub vector: u64,
}

/// In the place of a site: the callout is for [`Context::fault`].
pub const FAULT_SITE: u32 = u32::MAX;

/// Added to the budget, so that it shifted right by 40 is zero as soon as the budget is overdrawn.
pub const BUDGET_BIAS: u64 = 1 << 40;

impl Context {
    /// The form in which translated code checks an offset against a bound: `limit - offset - (size - 1)` shifted
    /// right by 40 is zero where the access is not allowed. `None` allows nothing.
    pub fn limit(last: Option<u32>) -> u64 {
        last.map_or(1 << 39, |last| (1 << 40) + u64::from(last))
    }
}

/// Who serves translated code while it runs.
pub trait Callouts {
    /// Serves the callout of `site`. Gives the address of the code to go on with, or `None` to leave translated code.
    fn callout(&mut self, context: &mut Context, site: u32) -> Option<u64>;
}

/// Why translated code was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By a branch: EIP, link, registers, flags and budget are in the context.
    Branch,
    /// A callout said so; what it left in the context counts for nothing.
    Callout,
}

/// A stay in translated code.
struct Passage<'a> {
    callouts: &'a mut dyn Callouts,
    panic: Option<Box<dyn Any + Send>>,
}

/// What translated code calls. Gives the address to go on at, or 0 to leave.
extern "sysv64" fn callout(context: *mut Context, site: u32) -> u64 {
    // SAFETY: translated code passes the context that `enter` gave it, and `enter` makes no use of its own reference
    // while translated code runs.
    let context = unsafe { &mut *context };
    let passage = std::ptr::with_exposed_provenance_mut::<Passage>(context.passage as usize);
    // SAFETY: `enter` set the address to a passage that lives until it returns, and nothing else refers to it.
    let passage = unsafe { &mut *passage };
    // Unwinding must not reach translated code.
    let served = catch_unwind(AssertUnwindSafe(|| passage.callouts.callout(context, site)));
    let resume = served.unwrap_or_else(|panic| {
        passage.panic = Some(panic);
        None
    });
    resume.unwrap_or(0)
}

/// Runs the code at `offset` of `arena` until it leaves.
///
/// Code in the arena was put there by this crate's emitter, which keeps these rules: it changes no memory but the
/// context, the host's stack below its entry, and what the tables in the context lead to; it leaves by the entry
/// stub's exit with the host's registers restored, but for those of the x87 unit (see [`ExtendedState`]); its stubs are
/// `stubs`.
pub fn enter(
    arena: &CodeArena,
    stubs: &Stubs,
    offset: u32,
    context: &mut Context,
    callouts: &mut dyn Callouts,
) -> Exit {
    let mut passage = Passage { callouts, panic: None };
    context.callout = callout as *const () as u64;
    let passage_at = &raw mut passage;
    context.passage = passage_at.expose_provenance() as u64;
    let stub = std::ptr::with_exposed_provenance::<()>((arena.base() + u64::from(stubs.enter)) as usize);
    // SAFETY: the entry stub of the arena has this signature; see the rules above.
    let stub: extern "sysv64" fn(*mut Context, u64) -> u64 = unsafe { std::mem::transmute(stub) };
    let shared = &raw mut *context;
    let guard = FaultGuard {
        start: arena.base(),
        size: arena.size() as u64,
        landing: arena.base() + u64::from(stubs.fault),
        context: shared,
    };
    let left = guarded(guard, || stub(shared, arena.base() + u64::from(offset)));
    if let Some(panic) = passage.panic {
        if context.extended.x87_live != 0 {
            context.save_x87(arena, stubs);
        }
        resume_unwind(panic);
    }
    if left == 0 { Exit::Branch } else { Exit::Callout }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::stubs::{MISS, assemble};
    use std::arch::asm;

    struct Nobody;
    impl Callouts for Nobody {
        fn callout(&mut self, _: &mut Context, _: u32) -> Option<u64> {
            None
        }
    }

    /// Into translated code that changes XMM registers, and out of it; as a function that Windows programs could call.
    extern "win64" fn visit(context: &mut Context) {
        let (code, stubs) = assemble();
        let mut arena = CodeArena::new(1 << 16).expect("executable memory");
        arena.write(0, &code);
        assert_eq!(enter(&arena, &stubs, MISS, context, &mut Nobody), Exit::Branch);
    }

    /// Microsoft, "x64 calling convention": XMM6 to XMM15, RSI and RDI belong to the caller, which is not so between
    /// this program and translated code.
    #[test]
    fn callers_keep_the_registers_that_windows_promises_them() {
        let mut context = Context::default();
        context.extended.xmm = [[0x55; 16]; 8];
        context.extended.set_live(false, true);
        let ours: [u128; 10] = std::array::from_fn(|n| u128::MAX / (n as u128 + 3));
        let mut kept = [0u128; 10];
        let (mut rsi, mut rdi) = (0x0123_4567_89AB_CDEFu64, 0xFEDC_BA98_7654_3210u64);
        // SAFETY: a call by that convention, with its shadow space, on an aligned stack; the pointers are to arrays of
        // ten registers, in registers that the callee keeps.
        unsafe {
            asm!(
                "mov r14, rsp",
                "and rsp, -16",
                "sub rsp, 32",
                "movdqu xmm6, [r12]",
                "movdqu xmm7, [r12 + 16]",
                "movdqu xmm8, [r12 + 32]",
                "movdqu xmm9, [r12 + 48]",
                "movdqu xmm10, [r12 + 64]",
                "movdqu xmm11, [r12 + 80]",
                "movdqu xmm12, [r12 + 96]",
                "movdqu xmm13, [r12 + 112]",
                "movdqu xmm14, [r12 + 128]",
                "movdqu xmm15, [r12 + 144]",
                "call {visit}",
                "movdqu [r13], xmm6",
                "movdqu [r13 + 16], xmm7",
                "movdqu [r13 + 32], xmm8",
                "movdqu [r13 + 48], xmm9",
                "movdqu [r13 + 64], xmm10",
                "movdqu [r13 + 80], xmm11",
                "movdqu [r13 + 96], xmm12",
                "movdqu [r13 + 112], xmm13",
                "movdqu [r13 + 128], xmm14",
                "movdqu [r13 + 144], xmm15",
                "mov rsp, r14",
                visit = sym visit,
                in("rcx") &raw mut context,
                in("r12") ours.as_ptr(),
                in("r13") kept.as_mut_ptr(),
                out("r14") _,
                inout("rsi") rsi,
                inout("rdi") rdi,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _,
                out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                clobber_abi("win64"),
            );
        }
        assert_eq!(kept, ours);
        assert_eq!((rsi, rdi), (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210));
        assert_eq!(context.extended.xmm, [[0x55; 16]; 8], "the guest's were there");
    }
}
