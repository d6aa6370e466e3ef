//! Popek and Goldberg's question, asked of the user's own processor: which instructions are privileged, which are
//! sensitive, and which sensitive ones do not trap.
//!
//! Popek and Goldberg, "Formal Requirements for Virtualizable Third Generation Architectures" (CACM 17, 1974), theorem
//! 1: a monitor can be built where the sensitive instructions are a subset of the privileged ones. Robin and Irvine,
//! "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor" (USENIX Security 2000), list
//! those of the Pentium that are not.

mod probe;
mod report;

pub use probe::{Observation, Program};
pub use report::{json, text};

use iced_x86::{Instruction, Mnemonic, Register};
use idem86_cpu::decode::attrs::{self, Class, Sensitivity};
use std::collections::BTreeMap;

/// Where an instruction belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// It traps unless it is privileged enough, and is sensitive.
    Privileged,
    /// It is sensitive, and the architecture does not make it trap.
    Sensitive,
    /// It neither sees nor changes what a monitor owns.
    Innocuous,
}

/// An instruction of the processor that is emulated, whatever its operands' sizes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The mnemonic, with what tells forms apart that belong to different groups.
    pub name: String,
    /// Its group in the manual.
    pub class: Class,
    /// Where it belongs.
    pub group: Group,
    /// What it did in user mode on this host, or why it was not executed; `None` for innocuous ones.
    pub observed: Option<Result<Observation, String>>,
}

/// Robin and Irvine's list, section 3: sensitive and not privileged.
const ROBIN_IRVINE: &[&str] = &[
    "sgdt",
    "sidt",
    "sldt",
    "smsw",
    "pushf",
    "popf",
    "lar",
    "lsl",
    "verr",
    "verw",
    "pop segment register",
    "push segment register",
    "call far",
    "jmp far",
    "int",
    "retf",
    "str",
    "mov to segment register",
    "mov from segment register",
];

impl Entry {
    /// Whether Robin and Irvine name it.
    pub fn in_robin_irvine(&self) -> bool {
        ROBIN_IRVINE.contains(&self.name.as_str())
    }
}

/// The whole instruction set by the attribute table, in groups, each by name. Nothing is executed.
pub fn instruction_set() -> Vec<Entry> {
    let mut found = BTreeMap::new();
    let prefixes: [&[u8]; 4] = [&[], &[0x66], &[0xF2], &[0xF3]];
    let maps: [&[u8]; 3] = [&[], &[0x0F], &[0x0F, 0x01]];
    for (prefix, map) in prefixes.iter().flat_map(|prefix| maps.iter().map(move |map| (prefix, map))) {
        for (opcode, form) in (0..=0xFF).flat_map(|opcode| (0..=0xFF).map(move |form| (opcode, form))) {
            let mut bytes = [prefix, map, &[opcode, form][..]].concat();
            bytes.resize(15, 0);
            // Its length does not matter: everything behind the opcode is zero.
            let instruction = iced_x86::Decoder::new(32, &bytes, iced_x86::DecoderOptions::NONE).decode();
            if let Some(class) = attrs::class(&instruction).filter(|_| !instruction.is_invalid()) {
                let group = match (attrs::sensitivity(&instruction), attrs::privileged(&instruction)) {
                    (Sensitivity::Innocuous, _) => Group::Innocuous,
                    (Sensitivity::Sensitive, true) => Group::Privileged,
                    (Sensitivity::Sensitive, false) => Group::Sensitive,
                };
                found.entry((group, name(&instruction, class))).or_insert(class);
            }
        }
    }
    let entry = |((group, name), class)| Entry { name, class, group, observed: None };
    found.into_iter().map(entry).collect()
}

/// The mnemonic, and which form it is where forms differ.
fn name(instruction: &Instruction, class: Class) -> String {
    let mnemonic = match instruction.mnemonic() {
        Mnemonic::Pushfd => Mnemonic::Pushf,
        Mnemonic::Popfd => Mnemonic::Popf,
        Mnemonic::Iretd => Mnemonic::Iret,
        other => other,
    };
    let mnemonic = format!("{mnemonic:?}").to_lowercase();
    let to = |is: fn(Register) -> bool| is(instruction.op0_register());
    let form = match (instruction.mnemonic(), class) {
        (Mnemonic::Mov, Class::SegmentRegister) if to(Register::is_segment_register) => {
            " to segment register"
        }
        (Mnemonic::Mov, Class::SegmentRegister) => " from segment register",
        (Mnemonic::Push | Mnemonic::Pop, Class::SegmentRegister) => " segment register",
        (Mnemonic::Mov, Class::System) if to(Register::is_cr) => " to control register",
        (Mnemonic::Mov, Class::System) if to(Register::is_dr) => " to debug register",
        (Mnemonic::Mov, Class::System) if instruction.op1_register().is_cr() => " from control register",
        (Mnemonic::Mov, Class::System) => " from debug register",
        (Mnemonic::Jmp | Mnemonic::Call, Class::FarTransfer) => " far",
        (Mnemonic::Movsd | Mnemonic::Cmpsd, Class::Sse2) => " (scalar double)",
        _ => "",
    };
    mnemonic + form
}

/// The instruction set, every sensitive instruction executed in user mode, each in a process of its own. `progress` is
/// told which.
pub fn classify(progress: &mut dyn FnMut(&str)) -> Vec<Entry> {
    let mut entries = instruction_set();
    for entry in entries.iter_mut().filter(|entry| entry.group != Group::Innocuous) {
        progress(&entry.name);
        entry.observed = Some(probe::observe(&entry.name));
    }
    entries
}

/// Whether this host's processor has User-Mode Instruction Prevention, and its system uses it: then SGDT, SIDT, SLDT,
/// STR and SMSW trap after all. SDM Vol. 3A, "Control Registers", CR4.UMIP.
pub fn umip() -> Option<bool> {
    let information = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let flags = information.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "umip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sensitive_instruction_has_a_program() {
        for entry in instruction_set().iter().filter(|entry| entry.group != Group::Innocuous) {
            assert!(probe::program(&entry.name).is_some(), "none for {}", entry.name);
        }
    }

    #[test]
    fn the_list_is_part_of_the_table() {
        let entries = instruction_set();
        for name in ROBIN_IRVINE {
            let entry = entries.iter().find(|entry| entry.name == *name);
            assert_eq!(entry.map(|entry| entry.group), Some(Group::Sensitive), "{name}");
        }
    }

    /// The decoder's authors have put down the same from the manuals.
    #[test]
    fn privileged_instructions_are_those_of_the_decoder() {
        for code in iced_x86::Code::values().filter(|code| code.op_code().mode32()) {
            let mut instruction = Instruction::default();
            instruction.set_code(code);
            // For a MOV the registers decide, which are not there.
            if attrs::class(&instruction).is_some() && code.mnemonic() != Mnemonic::Mov {
                assert_eq!(attrs::privileged(&instruction), code.is_privileged(), "{code:?}");
            }
        }
        for entry in instruction_set().iter().filter(|entry| entry.name.starts_with("mov ")) {
            let system = entry.name.contains("control") || entry.name.contains("debug");
            assert_eq!(entry.group == Group::Privileged, system, "{}", entry.name);
        }
    }

    /// What the architecture promises, on whatever host this runs.
    #[test]
    fn privileged_instructions_trap_on_this_host() {
        for entry in classify(&mut |_| ()) {
            match (entry.group, entry.observed) {
                (Group::Innocuous, observed) => assert!(observed.is_none()),
                (_, Some(Err(why))) => eprintln!("{}: skipped, {why}", entry.name),
                (Group::Privileged, Some(Ok(observation))) => {
                    assert!(
                        matches!(observation, Observation::Traps { .. }),
                        "{}: {observation}",
                        entry.name
                    );
                }
                (_, observed) => assert!(observed.is_some(), "{}", entry.name),
            }
        }
    }

    #[test]
    fn some_sensitive_instructions_do_not_trap_on_this_host() {
        for name in ["popf", "pushf", "mov from segment register", "lar", "verr", "jmp far", "cpuid"] {
            match probe::observe(name) {
                Ok(observation) => {
                    assert!(matches!(observation, Observation::Silent(_)), "{name}: {observation}")
                }
                Err(why) => eprintln!("{name}: skipped, {why}"),
            }
        }
        let Ok(Observation::Silent(what)) = probe::observe("popf") else { return };
        assert!(what.contains("IF"), "{what}");
    }
}
