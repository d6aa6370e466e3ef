//! Executing one sensitive instruction in user mode: a program of its own for each, which a signal ends or which says
//! what the instruction did.

use crate::elf::{self, Piece, ucontext};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::fmt;

/// What an instruction did in user mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It raised an exception: a monitor would get to see it.
    Traps {
        /// Its vector.
        vector: u32,
        /// Its error code, for vectors that have one.
        error: u32,
    },
    /// The processor trapped and the operating system gave an answer of its own (UMIP): what it was.
    Answered(String),
    /// It did not trap, and so showed or did something of the host's: what.
    Silent(String),
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// SDM Vol. 3A, "Exception and Interrupt Vectors".
        const NAMES: [&str; 21] = [
            "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP", "#SS", "#GP",
            "#PF", "15", "#MF", "#AC", "#MC", "#XM", "#VE",
        ];
        match self {
            Observation::Traps { vector, error } => {
                let name = NAMES.get(*vector as usize).unwrap_or(&"an exception");
                match vector {
                    10..=14 => write!(f, "traps: {name}({error:X}h)"),
                    _ => write!(f, "traps: {name}"),
                }
            }
            Observation::Answered(what) => write!(f, "traps (UMIP), the system answers: {what}"),
            Observation::Silent(what) => write!(f, "does not trap: {what}"),
        }
    }
}

/// What a program that was not ended by a signal leaves.
pub struct Results {
    /// EAX behind the instruction, EFLAGS, and what it stored in memory.
    eax: u32,
    eflags: u32,
    stored: [u32; 2],
    /// Time-stamp counts for each time it was executed.
    ticks: u32,
}

/// How to execute an instruction, and what its results mean.
pub struct Program {
    name: &'static str,
    /// Writes it, with what goes before; leaves results in EAX, EFLAGS and at [`STORED`].
    emit: fn(&mut CodeAssembler) -> Result<(), IcedError>,
    meaning: fn(&Results) -> String,
    /// Whether UMIP concerns it.
    umip: bool,
}

const CODE: u32 = 0x10_0000;
const HANDLER: u32 = 0x10_1000;
const RESTORER: u32 = 0x10_1800;
const SCRATCH: u32 = 0x10_2000;
/// Kind (1: to its end, 2: a signal), vector or EAX, error code or EFLAGS, what was stored, time.
const RESULTS: u32 = 0x10_2100;
const RESULT_BYTES: u32 = 24;
/// Where instructions store.
pub const STORED: u32 = RESULTS + 12;
/// Linux's selectors of 32-bit user code and of user data, and one of its kernel's code.
const USER_CODE: u32 = 0x23;
const USER_DATA: u32 = 0x2B;
const KERNEL_CODE: u32 = 0x10;
/// A system call of Linux that harms nobody.
const GETPID: u32 = 20;
/// How often an instruction is executed where its time is looked at.
const TIMES: u32 = 32;
/// Time-stamp counts that nothing but a trap takes.
const TRAPPED: u32 = 800;

const fn plain(
    name: &'static str,
    emit: fn(&mut CodeAssembler) -> Result<(), IcedError>,
    meaning: fn(&Results) -> String,
) -> Program {
    Program { name, emit, meaning, umip: false }
}

/// For those that trap wherever the architecture is followed.
fn nothing_known(_: &Results) -> String {
    "it completed".into()
}

fn own_tables(_: &Results) -> String {
    "goes by the host's descriptors".into()
}

fn rights(results: &Results) -> String {
    let known = if results.eflags & 0x40 != 0 { "ZF is 1" } else { "ZF is 0" };
    format!("tells of the host's descriptor {KERNEL_CODE:04X}h: {known}")
}

/// Emits an instruction several times, with the time that takes.
fn timed(
    a: &mut CodeAssembler,
    emit: fn(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    emit(a)?;
    a.rdtsc()?;
    a.mov(esi, eax)?;
    for _ in 0..TIMES {
        emit(a)?;
    }
    a.rdtsc()?;
    a.sub(eax, esi)?;
    a.mov(dword_ptr(RESULTS + 20), eax)
}

macro_rules! timed {
    ($emit:expr) => {
        |a| timed(a, $emit)
    };
}

/// The programs of all sensitive instructions.
const PROGRAMS: &[Program] = &[
    plain("cli", |a| a.cli(), nothing_known),
    plain("sti", |a| a.sti(), nothing_known),
    plain("hlt", |a| a.hlt(), nothing_known),
    plain("clts", |a| a.clts(), nothing_known),
    plain("invd", |a| a.invd(), nothing_known),
    plain("wbinvd", |a| a.wbinvd(), nothing_known),
    plain("in", |a| a.in_(al, 0x80), nothing_known),
    plain("out", |a| a.out(0x80, al), nothing_known),
    plain("insb", |a| a.insb(), nothing_known),
    plain("insw", |a| a.insw(), nothing_known),
    plain("insd", |a| a.insd(), nothing_known),
    plain("outsb", |a| a.outsb(), nothing_known),
    plain("outsw", |a| a.outsw(), nothing_known),
    plain("outsd", |a| a.outsd(), nothing_known),
    plain("rdmsr", |a| a.rdmsr(), nothing_known),
    plain("wrmsr", |a| a.wrmsr(), nothing_known),
    plain("invlpg", |a| a.invlpg(byte_ptr(STORED)), nothing_known),
    plain("lgdt", |a| a.lgdt(fword_ptr(STORED)), nothing_known),
    plain("lidt", |a| a.lidt(fword_ptr(STORED)), nothing_known),
    plain("lldt", |a| a.lldt(ax), nothing_known),
    plain("ltr", |a| a.ltr(ax), nothing_known),
    plain("lmsw", |a| a.lmsw(ax), nothing_known),
    plain("sysexit", |a| a.sysexit(), nothing_known),
    plain("mov to control register", |a| a.mov(cr0, eax), nothing_known),
    plain("mov from control register", |a| a.mov(eax, cr0), nothing_known),
    plain("mov to debug register", |a| a.mov(dr7, eax), nothing_known),
    plain("mov from debug register", |a| a.mov(eax, dr7), nothing_known),
    plain("rdtsc", |a| a.rdtsc(), |_| "shows the host's time".into()),
    plain("rdpmc", |a| a.rdpmc(), |_| "shows the host's counters".into()),
    plain(
        "cpuid",
        |a| {
            a.xor(eax, eax)?;
            a.cpuid()?;
            a.mov(dword_ptr(STORED), ebx)
        },
        |r| format!("shows the host's processor ({}...)", r.stored[0].to_le_bytes().escape_ascii()),
    ),
    plain(
        "pushf",
        |a| {
            a.pushfd()?;
            a.pop(eax)
        },
        |r| format!("shows the host's IF ({}) and IOPL ({})", r.eax >> 9 & 1, r.eax >> 12 & 3),
    ),
    plain(
        "popf",
        |a| {
            a.pushfd()?;
            a.and(dword_ptr(esp), !0x200i32)?;
            a.popfd()?;
            a.pushfd()?;
            a.pop(eax)
        },
        |r| match r.eax >> 9 & 1 {
            1 => "IF was to become 0 and stays 1".into(),
            _ => "changes the host's IF".into(),
        },
    ),
    Program {
        name: "sgdt",
        emit: timed!(|a| a.sgdt(fword_ptr(STORED))),
        meaning: |r| {
            format!("base {:08X}h, limit {:04X}h", r.stored[0] >> 16 | r.stored[1] << 16, r.stored[0] as u16)
        },
        umip: true,
    },
    Program {
        name: "sidt",
        emit: timed!(|a| a.sidt(fword_ptr(STORED))),
        meaning: |r| {
            format!("base {:08X}h, limit {:04X}h", r.stored[0] >> 16 | r.stored[1] << 16, r.stored[0] as u16)
        },
        umip: true,
    },
    Program {
        name: "sldt",
        emit: timed!(|a| a.sldt(word_ptr(STORED))),
        meaning: |r| format!("selector {:04X}h", r.stored[0]),
        umip: true,
    },
    Program {
        name: "str",
        emit: timed!(|a| a.str(word_ptr(STORED))),
        meaning: |r| format!("selector {:04X}h", r.stored[0]),
        umip: true,
    },
    Program {
        name: "smsw",
        emit: timed!(|a| a.smsw(word_ptr(STORED))),
        meaning: |r| format!("CR0 is ....{:04X}h", r.stored[0]),
        umip: true,
    },
    plain(
        "lar",
        |a| {
            a.mov(ecx, KERNEL_CODE)?;
            a.lar(eax, ecx)
        },
        rights,
    ),
    plain(
        "lsl",
        |a| {
            a.mov(ecx, KERNEL_CODE)?;
            a.lsl(eax, ecx)
        },
        rights,
    ),
    plain(
        "verr",
        |a| {
            a.mov(ecx, KERNEL_CODE)?;
            a.verr(cx)
        },
        rights,
    ),
    plain(
        "verw",
        |a| {
            a.mov(ecx, KERNEL_CODE)?;
            a.verw(cx)
        },
        rights,
    ),
    plain(
        "arpl",
        |a| {
            a.mov(eax, cs)?;
            a.xor(ecx, ecx)?;
            a.arpl(ax, cx)
        },
        |r| format!("goes by the RPL of the host's selectors ({:04X}h)", r.eax as u16),
    ),
    plain(
        "mov from segment register",
        |a| a.mov(eax, cs),
        |r| format!("shows CS {:04X}h: privilege level {}", r.eax as u16, r.eax & 3),
    ),
    plain(
        "push segment register",
        |a| {
            a.push(cs)?;
            a.pop(eax)
        },
        |r| format!("shows CS {:04X}h: privilege level {}", r.eax as u16, r.eax & 3),
    ),
    plain(
        "mov to segment register",
        |a| {
            a.mov(eax, USER_DATA)?;
            a.mov(es, eax)
        },
        own_tables,
    ),
    plain(
        "pop segment register",
        |a| {
            a.push(USER_DATA as i32)?;
            a.pop(es)
        },
        own_tables,
    ),
    plain(
        "lds",
        |a| {
            a.mov(dword_ptr(STORED + 4), USER_DATA)?;
            a.lds(eax, fword_ptr(STORED))
        },
        own_tables,
    ),
    plain(
        "les",
        |a| {
            a.mov(dword_ptr(STORED + 4), USER_DATA)?;
            a.les(eax, fword_ptr(STORED))
        },
        own_tables,
    ),
    plain(
        "lfs",
        |a| {
            a.mov(dword_ptr(STORED + 4), USER_DATA)?;
            a.lfs(eax, fword_ptr(STORED))
        },
        own_tables,
    ),
    plain(
        "lgs",
        |a| {
            a.mov(dword_ptr(STORED + 4), USER_DATA)?;
            a.lgs(eax, fword_ptr(STORED))
        },
        own_tables,
    ),
    plain(
        "lss",
        |a| {
            a.mov(dword_ptr(STORED), esp)?;
            a.mov(dword_ptr(STORED + 4), USER_DATA)?;
            a.lss(esp, fword_ptr(STORED))
        },
        own_tables,
    ),
    plain(
        "jmp far",
        |a| {
            let mut there = a.create_label();
            far_pointer(a, there)?;
            a.jmp(fword_ptr(STORED))?;
            a.set_label(&mut there)?;
            a.nop()
        },
        own_tables,
    ),
    plain(
        "call far",
        |a| {
            let mut there = a.create_label();
            far_pointer(a, there)?;
            a.call(fword_ptr(STORED))?;
            a.set_label(&mut there)?;
            a.nop()
        },
        own_tables,
    ),
    plain(
        "retf",
        |a| {
            let mut there = a.create_label();
            far_pointer(a, there)?;
            a.push(USER_CODE as i32)?;
            a.push(dword_ptr(STORED))?;
            a.retf()?;
            a.set_label(&mut there)?;
            a.nop()
        },
        own_tables,
    ),
    plain(
        "iret",
        |a| {
            let mut there = a.create_label();
            far_pointer(a, there)?;
            // IF is not to be set.
            a.push(2)?;
            a.push(USER_CODE as i32)?;
            a.push(dword_ptr(STORED))?;
            a.iretd()?;
            a.set_label(&mut there)?;
            a.pushfd()?;
            a.pop(eax)
        },
        |r| format!("goes by the host's descriptors; IF was to become 0 and is {}", r.eax >> 9 & 1),
    ),
    plain(
        "int",
        |a| {
            a.mov(eax, GETPID)?;
            a.int(0x80)
        },
        |_| "INT 80h calls the host's kernel".into(),
    ),
    plain("int1", |a| a.int1(), nothing_known),
    plain("int3", |a| a.int3(), nothing_known),
    plain(
        "into",
        |a| {
            a.mov(eax, 0x7FFF_FFFF)?;
            a.inc(eax)?;
            a.into()
        },
        nothing_known,
    ),
    plain(
        "sysenter",
        |a| {
            // As Linux wants it: it returns behind the CALL, having restored the three registers.
            let (mut enter, mut behind) = (a.create_label(), a.create_label());
            a.call(enter)?;
            a.jmp(behind)?;
            a.set_label(&mut enter)?;
            a.push(ecx)?;
            a.push(edx)?;
            a.push(ebp)?;
            a.mov(ebp, esp)?;
            a.mov(eax, GETPID)?;
            a.sysenter()?;
            a.set_label(&mut behind)?;
            a.nop()
        },
        |_| "calls the host's kernel".into(),
    ),
];

/// Puts a far pointer to `there` at [`STORED`]. The assembler knows no absolute address of a label: a CALL gives one.
fn far_pointer(a: &mut CodeAssembler, there: CodeLabel) -> Result<(), IcedError> {
    let mut here = a.create_label();
    let mut around = a.create_label();
    a.call(here)?;
    a.jmp(there)?;
    a.set_label(&mut here)?;
    a.pop(eax)?;
    a.mov(dword_ptr(STORED), eax)?;
    a.mov(dword_ptr(STORED + 4), USER_CODE)?;
    a.jmp(around)?;
    a.set_label(&mut around)?;
    a.nop()
}

/// The program that executes the instruction called `name`.
pub fn program(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}

/// Executes the instruction called `name`, or says why not.
pub fn observe(name: &str) -> Result<Observation, String> {
    let program = program(name).ok_or("no program for it")?;
    let executable = assemble(program).map_err(|e| e.to_string())?;
    let output = elf::run(&executable).map_err(|e| match e.raw_os_error() {
        // ENOEXEC
        Some(8) => "the host's kernel runs no 32-bit programs".into(),
        _ => e.to_string(),
    })?;
    let Ok(bytes) = <[u8; RESULT_BYTES as usize]>::try_from(output.stdout) else {
        return Err(format!("the program ended with {}", output.status));
    };
    let word = |n: usize| u32::from_le_bytes(std::array::from_fn(|k| bytes[4 * n + k]));
    if word(0) == 2 {
        return Ok(Observation::Traps { vector: word(1), error: word(2) });
    }
    let results =
        Results { eax: word(1), eflags: word(2), stored: [word(3), word(4)], ticks: word(5) / TIMES };
    let meaning = (program.meaning)(&results);
    Ok(match program.umip && results.ticks > TRAPPED {
        true => Observation::Answered(meaning),
        false if program.umip => Observation::Silent(format!("shows the host's: {meaning}")),
        false => Observation::Silent(meaning),
    })
}

fn assemble(program: &Program) -> Result<Vec<u8>, IcedError> {
    let mut code = CodeAssembler::new(32)?;
    elf::catch_signals(&mut code, HANDLER, RESTORER, SCRATCH)?;
    for register in [eax, ebx, ecx, edx, esi, edi, ebp] {
        code.xor(register, register)?;
    }
    code.mov(edi, STORED)?;
    code.mov(esi, STORED)?;
    (program.emit)(&mut code)?;
    code.mov(dword_ptr(RESULTS + 4), eax)?;
    code.pushfd()?;
    code.pop(dword_ptr(RESULTS + 8))?;
    code.mov(dword_ptr(RESULTS), 1)?;
    elf::write_and_exit(&mut code, RESULTS, RESULT_BYTES)?;
    let mut handler = CodeAssembler::new(32)?;
    handler.mov(eax, dword_ptr(esp + 12))?;
    handler.mov(ecx, dword_ptr(eax + ucontext::TRAP))?;
    handler.mov(dword_ptr(RESULTS + 4), ecx)?;
    handler.mov(ecx, dword_ptr(eax + ucontext::ERROR))?;
    handler.mov(dword_ptr(RESULTS + 8), ecx)?;
    handler.mov(dword_ptr(RESULTS), 2)?;
    elf::write_and_exit(&mut handler, RESULTS, RESULT_BYTES)?;
    let mut restorer = CodeAssembler::new(32)?;
    elf::restorer(&mut restorer)?;
    let piece = |at: u32, a: &mut CodeAssembler| -> Result<Piece, IcedError> {
        Ok(Piece { at, bytes: a.assemble(at.into())?, size: 0 })
    };
    let mut text = piece(CODE, &mut code)?;
    for (at, a) in [(HANDLER, &mut handler), (RESTORER, &mut restorer)] {
        text.bytes.resize((at - CODE) as usize, 0xCC);
        text.bytes.extend(a.assemble(at.into())?);
    }
    text.size = 0x3000;
    Ok(elf::executable(CODE, &[text]))
}
