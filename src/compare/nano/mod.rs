//! Nanobenchmarks: one sensitive operation each, in a loop, on a bare processor.
//!
//! After Adams and Agesen, "A Comparison of Software and Hardware Techniques for x86 Virtualization" (ASPLOS 2006),
//! section "Nanobenchmarks", with what a PC's software does besides. The same bytes run in every engine, in other
//! emulators and, where they need no privilege, as a program of the host.

mod address;
mod control;
mod devices;
mod flow;
mod guest;
pub(super) mod native;
mod paging;
mod privilege;

pub use guest::{MARK_BEGIN, MARK_END, MARK_SURPRISE, MEMORY, ROUNDS, counted, image};

use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;

/// What an emitter gives: the assembler refuses operands that no instruction takes.
pub type Emitted = Result<(), IcedError>;
/// Writes code. The number says which of the copies in the loop it is.
pub type Emit = fn(&mut CodeAssembler, u32) -> Emitted;

/// Where a loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// At privilege level 0.
    Kernel,
    /// At privilege level 3.
    User,
}

/// What the #PF handler does before it returns. SDM Vol. 3A, "Interrupt 14—Page-Fault Exception (#PF)".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// It steps over the instruction, which has two bytes.
    Skip,
    /// It makes the page present, so that the instruction succeeds.
    Map,
}

/// A nanobenchmark.
#[derive(Clone, Copy)]
pub struct Nano {
    /// Its name on the command line.
    pub name: &'static str,
    /// The operation whose cost it gives.
    pub about: &'static str,
    /// Where it runs.
    pub ring: Ring,
    /// How often the operation stands in the loop.
    pub copies: u32,
    /// Another nanobenchmark whose cost is part of this one's and is taken off.
    pub minus: Option<&'static str>,
    /// It can run as a program of the host, and means the same there.
    pub native: bool,
    /// It waits in HLT, for which a clock is needed that does not wait too.
    pub halts: bool,
    /// What #PF leads to.
    pub page_fault: PageFault,
    /// Done once, at privilege level 0. May leave constants in ECX, EDX, EBX, ESI and EDI.
    pub setup: Emit,
    /// The operation. EBP and ESP belong to the loop, EAX is free, and flags are.
    pub body: Emit,
}

impl Nano {
    /// A nanobenchmark in the way of most: four copies at privilege level 0, run by all engines and peers.
    const fn new(name: &'static str, about: &'static str, body: Emit) -> Self {
        Nano {
            name,
            about,
            ring: Ring::Kernel,
            copies: 4,
            minus: None,
            native: false,
            halts: false,
            page_fault: PageFault::Skip,
            setup: nothing,
            body,
        }
    }

    const fn setup(self, setup: Emit) -> Self {
        Nano { setup, ..self }
    }

    const fn native(self) -> Self {
        Nano { native: true, ..self }
    }

    const fn user(self) -> Self {
        Nano { ring: Ring::User, ..self }
    }

    const fn once(self) -> Self {
        Nano { copies: 1, ..self }
    }

    const fn minus(self, name: &'static str) -> Self {
        Nano { minus: Some(name), ..self }
    }

    const fn halts(self) -> Self {
        Nano { halts: true, ..self }
    }

    const fn mapping(self) -> Self {
        Nano { page_fault: PageFault::Map, ..self }
    }
}

impl std::fmt::Debug for Nano {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nano({})", self.name)
    }
}

/// Emits nothing.
fn nothing(_: &mut CodeAssembler, _: u32) -> Emitted {
    Ok(())
}

/// The loop alone, whose time is taken off every other.
pub const EMPTY: Nano = Nano::new("empty", "the loop itself", nothing).native();

/// All nanobenchmarks, in the order of the table.
pub const NANOS: &[Nano] = &[
    Nano::new("rdtsc", "RDTSC", privilege::rdtsc).native(),
    Nano::new("cpuid", "CPUID leaf 1", privilege::cpuid).native(),
    Nano::new("cli-sti", "CLI and STI", privilege::cli_sti),
    Nano::new("pushf-popf", "PUSHFD and POPFD", privilege::pushf_popf).native(),
    Nano::new("mov-cr0", "MOV to CR0 that changes TS", privilege::mov_cr0).setup(privilege::read_cr0),
    Nano::new("mov-cr3", "MOV to CR3, unchanged", privilege::mov_cr3).setup(privilege::read_cr3),
    Nano::new("invlpg", "INVLPG of a mapped page", privilege::invlpg),
    Nano::new("lgdt", "LGDT", privilege::lgdt),
    Nano::new("load-es", "MOV to ES", privilege::load_es).setup(privilege::read_ds).native(),
    Nano::new("in", "IN from a device's register (8259A mask)", devices::port_in),
    Nano::new("out", "OUT to a device's register (8259A mask)", devices::port_out),
    Nano::new("in-unassigned", "IN from a port without a device", devices::unassigned_in)
        .setup(devices::unassigned),
    Nano::new("out-unassigned", "OUT to a port without a device", devices::unassigned_out)
        .setup(devices::unassigned),
    Nano::new("mmio-read", "read of a device's memory (local APIC version)", devices::mmio_read),
    Nano::new("mmio-write", "write to a device's memory (local APIC task priority)", devices::mmio_write)
        .setup(devices::zero),
    Nano::new("timer", "timer interrupt: set counter 0, HLT, handler, end of interrupt", devices::timer)
        .setup(devices::enable_timer)
        .once()
        .halts(),
    Nano::new("int-kernel", "INT 80h and IRET at privilege level 0", control::int_80),
    Nano::new("int-user", "INT 80h from privilege level 3 and IRET back", control::int_80).user().native(),
    Nano::new("sysenter", "SYSENTER from privilege level 3 and SYSEXIT back", control::sysenter).user(),
    Nano::new("divide-error", "#DE: fault, handler, return", control::divide_error)
        .setup(control::zero_divisor)
        .native(),
    Nano::new("invalid-opcode", "#UD: fault, handler, return", control::invalid_opcode).native(),
    Nano::new("page-fault", "#PF: fault, handler, return", paging::absent)
        .setup(paging::absent_page)
        .native(),
    Nano::new("demand-page", "#PF whose handler maps the page; then unmapped, INVLPG", paging::demand)
        .setup(paging::absent_page)
        .mapping(),
    Nano::new("hidden-fault", "first access to a page after its INVLPG", paging::after_invlpg)
        .setup(paging::data_page)
        .minus("invlpg"),
    Nano::new("pte-write", "page table entry changed (an available bit), page used", paging::pte_write)
        .setup(paging::data_page),
    Nano::new(
        "pte-invlpg",
        "page table entry changed (another frame), INVLPG, page used",
        paging::pte_invlpg,
    )
    .setup(paging::data_page),
    Nano::new("switch-warm", "address space switched between 2, 16 pages read in each", paging::switch_warm)
        .setup(paging::spaces)
        .once(),
    Nano::new("switch-cold", "address space switched among 64, 16 pages read in each", paging::switch_cold)
        .setup(paging::spaces)
        .once(),
    Nano::new("call-ret", "CALL and RET", flow::call_ret).native(),
    Nano::new("call-indirect", "CALL through a table of 4 and RET", flow::call_indirect)
        .setup(flow::table)
        .native(),
    Nano::new("smc", "code changed and executed", flow::patch_and_execute).native(),
    Nano::new("compute", "16 dependent operations on registers", flow::compute).native(),
    Nano::new("memory", "8 loads and 8 stores", flow::memory).setup(flow::buffer).native(),
];

/// The nanobenchmark called `name`.
pub fn named(name: &str) -> Option<&'static Nano> {
    NANOS.iter().find(|nano| nano.name == name)
}
