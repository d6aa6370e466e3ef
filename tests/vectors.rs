//! The engines against an 80286: single instructions in real mode, captured from the silicon.
//!
//! The vectors are the first 300 tests of each opcode file of SingleStepTests/80286. They are looked for in the
//! directory that `IDEM86_CPU_VECTORS` names, else beside the workspace. Every test runs until its closing HLT or
//! the first fetch elsewhere; then all registers and every byte of memory must be as captured. [`SET_ASIDE`] lists
//! where an 80286 is not what we are.
#![forbid(unsafe_code)]

#[path = "vectors/moo.rs"]
mod moo;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::bus::{Bus, PageKind, Pins, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode;
use idem86_cpu::decode::attrs;
use idem86_cpu::event::exception::vector;
use idem86_cpu::state::segment::SegReg;
use idem86_translator::{Options, Translator};
use moo::{NAMES, REGISTERS, Test};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether a rule concerns a test.
type Concerns = fn(&Test, &Instruction) -> bool;

/// Where an 80286 is not what we are: the reason, and which tests it concerns. Everything else must agree.
const SET_ASIDE: &[(&str, Concerns)] = &[
    ("LOCK before an instruction that cannot be locked: accepted here, #UD later", |t, i| {
        t.prefixes().contains(&0xF0) && i.is_invalid()
    }),
    ("an instruction of more than 10 bytes: #GP here, later the limit is 15", |t, i| {
        t.raises(vector::GP) && i.len() > 10
    }),
    ("MOV with segment register 4 or 5: #UD here, FS and GS later", |t, i| {
        t.raises(vector::UD) && (0..2).any(|n| matches!(i.op_register(n), Register::FS | Register::GS))
    }),
    ("a stack word at offset FFFFh: #GP here, #SS later", |t, i| t.raises(vector::GP) && accesses_stack(i)),
    ("a faulting string instruction: has stepped its registers here, later it has not", |t, i| {
        t.raises(vector::GP) && i.is_string_instruction()
    }),
];

/// Whether `i` reads or writes memory through SS.
fn accesses_stack(i: &Instruction) -> bool {
    let operand = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
    operand && i.memory_segment() == Register::SS || i.is_stack_instruction()
}

fn vectors() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cpu-vectors/80286-real-mode");
    let directory = std::env::var_os("IDEM86_CPU_VECTORS").map_or(beside, PathBuf::from);
    directory.is_dir().then_some(directory)
}

/// Pages of RAM per thread; no test touches as many.
const SLOTS: usize = 64;

/// 16 MiB of memory, of which the pages that are touched get RAM. Every port reads as ones.
struct Memory {
    page_to_slot: HashMap<u64, usize>,
    remapped: bool,
}

impl Bus for Memory {
    fn page(&mut self, page: u64) -> PageKind {
        let page = page & 0xFF_FFFF;
        let next = self.page_to_slot.len();
        match self.page_to_slot.get(&page) {
            Some(slot) => PageKind::Ram((*slot as u64) << 12),
            None if next == SLOTS => PageKind::Device,
            None => {
                self.page_to_slot.insert(page, next);
                PageKind::Ram((next as u64) << 12)
            }
        }
    }
    fn read(&mut self, _: u64, _: usize, _: Work) -> u64 {
        u64::MAX
    }
    fn write(&mut self, _: u64, _: usize, _: u64, _: Work) {}
    fn port_in(&mut self, _: u16, size: usize, _: Work) -> u32 {
        u32::MAX >> (32 - 8 * size)
    }
    fn port_out(&mut self, _: u16, _: usize, _: u32, _: Work) {}
    fn acknowledge_interrupt(&mut self, _: Work) -> u8 {
        0
    }
    fn pins(&mut self) -> Pins {
        Pins { a20: true, remapped: std::mem::take(&mut self.remapped), ..Pins::default() }
    }
}

/// A processor with memory, used for one test after another.
struct Bench {
    cpu: Cpu,
    translator: Option<Translator>,
    ram: Vec<Cell<u8>>,
    memory: Memory,
}

/// Segment registers in the order of the file's registers 4 to 7.
const SEGMENTS: [SegReg; 4] = [SegReg::Cs, SegReg::Ss, SegReg::Ds, SegReg::Es];
/// General registers in the order of the file, by their numbers.
const GENERAL: [(usize, u8); 8] = [(0, 0), (1, 3), (2, 1), (3, 2), (8, 4), (9, 5), (10, 6), (11, 7)];
const CX: usize = 2;
const CS: usize = 4;
const SS: usize = 5;
const SP: usize = 8;
const IP: usize = 12;
const FLAGS: usize = 13;

impl Bench {
    fn new(translator: Option<Translator>) -> Self {
        Bench {
            cpu: Cpu::new(),
            translator,
            ram: vec![Cell::new(0); SLOTS << 12],
            memory: Memory { page_to_slot: HashMap::new(), remapped: false },
        }
    }

    fn load(&mut self, test: &Test) {
        for slot in 0..self.memory.page_to_slot.len() {
            self.ram[slot << 12..][..4096].iter().for_each(|cell| cell.set(0));
        }
        self.memory.page_to_slot.clear();
        self.memory.remapped = true;
        for (address, byte) in &test.before.ram {
            self.cell(*address).set(*byte);
        }
        let registers: [u16; REGISTERS] = std::array::from_fn(|n| test.register(n));
        let cpu = &mut self.cpu;
        cpu.reset();
        for (n, r) in GENERAL {
            cpu.gpr.set::<u32>(r, registers[n] as u32);
        }
        for (n, s) in (CS..).zip(SEGMENTS) {
            let segment = &mut cpu.seg[s as usize];
            segment.selector = registers[n];
            segment.base = (registers[n] as u64) << 4;
        }
        cpu.rip = registers[IP] as u64;
        cpu.set_eflags(registers[FLAGS] as u32 & 0xFFF);
        cpu.state_changed();
    }

    fn cell(&mut self, address: u32) -> &Cell<u8> {
        let PageKind::Ram(at) = self.memory.page(address as u64 & !0xFFF) else { panic!("too many pages") };
        &self.ram[at as usize + (address & 0xFFF) as usize]
    }

    fn registers(&self) -> [u16; REGISTERS] {
        let mut registers = [0; REGISTERS];
        for (n, r) in GENERAL {
            registers[n] = self.cpu.gpr.get::<u16>(r);
        }
        for (n, s) in (CS..).zip(SEGMENTS) {
            registers[n] = self.cpu.seg[s as usize].selector;
        }
        registers[IP] = self.cpu.rip as u16;
        registers[FLAGS] = self.cpu.eflags.bits() as u16;
        registers
    }

    /// Runs the instruction; a repeated one to its end.
    fn run(&mut self, instruction: &Instruction) {
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let count =
            if repeated && instruction.is_string_instruction() { self.cpu.gpr.get::<u16>(1) } else { 1 };
        let work = count.max(1) as Work;
        match &mut self.translator {
            Some(translator) => self.cpu.run_with(translator, &self.ram, &mut self.memory, work),
            None => self.cpu.run(&self.ram, &mut self.memory, work),
        };
    }

    /// What is not as captured, in words; empty if the test passes.
    fn differences(&mut self, test: &Test, instruction: &Instruction) -> String {
        let mut out = String::new();
        let cl = test.register(CX) as u8;
        let undefined = attrs::flags_with_cl(instruction, cl).undefined as u16;
        let mut actual = self.registers();
        if !self.cpu.halted {
            // The capture ended with a HLT, executed or injected.
            actual[IP] = actual[IP].wrapping_add(1);
        }
        for n in 0..REGISTERS {
            let expected =
                test.after.registers[n].or(test.before.registers[n]).expect("INIT gives every register");
            let mask = if n == FLAGS { 0xFFF & !undefined } else { 0xFFFF };
            if (expected ^ actual[n]) & mask != 0 {
                let _ = write!(out, " {} {expected:04x}, got {:04x};", NAMES[n], actual[n]);
            }
        }
        let mut expected: BTreeMap<u32, u8> = test.before.ram.iter().copied().collect();
        expected.extend(test.after.ram.iter().copied());
        let pushed = pushed_flags(test, instruction);
        for (page, slot) in &self.memory.page_to_slot {
            for (offset, cell) in self.ram[*slot << 12..][..4096].iter().enumerate() {
                let address = *page as u32 + offset as u32;
                let want = expected.get(&address).copied().unwrap_or(0);
                let mask = match pushed.map(|at| address.wrapping_sub(at)) {
                    Some(n @ 0..2) => ((0xFFF & !undefined) >> (8 * n)) as u8,
                    _ => 0xFF,
                };
                if (want ^ cell.get()) & mask != 0 {
                    let _ = write!(out, " [{address:06x}] {want:02x}, got {:02x};", cell.get());
                }
            }
        }
        out
    }
}

/// Where FLAGS were pushed.
fn pushed_flags(test: &Test, instruction: &Instruction) -> Option<u32> {
    let pushes = test.exception.is_some()
        || matches!(
            instruction.mnemonic(),
            Mnemonic::Pushf | Mnemonic::Int | Mnemonic::Int3 | Mnemonic::Into
        );
    // Not the address in the file, which lacks bit 0.
    pushes.then(|| (test.register(SS) as u32 * 16) + test.register(SP).wrapping_sub(2) as u32)
}

/// What became of the tests of one file.
#[derive(Default)]
struct Tally {
    passed: usize,
    set_aside: BTreeMap<&'static str, usize>,
    failures: Vec<String>,
}

fn run_file(bench: &mut Bench, path: &Path, tally: &mut Tally) {
    let file = path.file_name().expect("a file").to_string_lossy().into_owned();
    for test in moo::read(path).unwrap_or_else(|error| panic!("{file}: {error}")) {
        let instruction = decode::decode(&test.bytes, 16).unwrap_or_default();
        if let Some((reason, _)) = SET_ASIDE.iter().find(|(_, concerns)| concerns(&test, &instruction)) {
            *tally.set_aside.entry(reason).or_default() += 1;
            continue;
        }
        bench.load(&test);
        bench.run(&instruction);
        match bench.differences(&test, &instruction) {
            differences if differences.is_empty() => tally.passed += 1,
            differences => tally.failures.push(format!(
                "{file}: {} ({:02x?}, exception {:?}, {}):{differences}",
                test.name, test.bytes, test.exception, test.hash
            )),
        }
    }
}

/// How many failures are shown.
const SHOWN: usize = 100;

#[test]
fn instructions_do_what_an_80286_does() {
    run_all(|| None);
}

#[test]
fn translated_instructions_do_what_an_80286_does() {
    let options = Options { threshold: 0, unit: 1, arena: 1 << 20, ..Options::default() };
    match Translator::new(options) {
        Ok(_) => run_all(|| Translator::new(options).ok()),
        Err(reason) => eprintln!("skipped: {reason}"),
    }
}

/// Runs the tests of all files, each thread with a translator of its own, or none.
fn run_all(translator: impl Fn() -> Option<Translator> + Sync) {
    let Some(directory) = vectors() else {
        eprintln!("skipped: no vectors (IDEM86_CPU_VECTORS names their directory)");
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the directory can be read")
        .map(|entry| entry.expect("the entry can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "gz"))
        .collect();
    files.sort();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut bench = Bench::new(translator());
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut tally = Tally::default();
                    run_file(&mut bench, path, &mut tally);
                    let mut total = total.lock().expect("no thread panicked");
                    total.passed += tally.passed;
                    total.failures.extend(tally.failures);
                    for (reason, n) in tally.set_aside {
                        *total.set_aside.entry(reason).or_default() += n;
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no thread panicked");
    println!("{} files: {} tests passed", files.len(), total.passed);
    for (reason, n) in &total.set_aside {
        println!("{n} set aside: {reason}");
    }
    assert!(
        total.failures.is_empty(),
        "{} tests failed, of them:\n{}",
        total.failures.len(),
        total.failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(total.passed > 0, "nothing was run");
}
