//! Compares two outcomes of a case as far as the architecture defines them, and prints them side by side.

use super::tolerance::Tolerance;
use iced_x86::{CodeSize, Formatter, Instruction, IntelFormatter};
use idem86_translator::host::native::layout::{OfferedSegment, WINDOW_BYTES, WINDOW_LINEAR};
use idem86_translator::host::native::{Ending, NativeCase, NativeOutcome, State};
use std::fmt::{self, Write};

const GPR: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];

/// A register, before and after.
struct Field {
    name: &'static str,
    digits: usize,
    before: u128,
    host: u128,
    ours: u128,
    differs: bool,
}

/// Two outcomes of one case.
pub struct Comparison<'a> {
    instruction: &'a Instruction,
    case: &'a NativeCase,
    host: &'a NativeOutcome,
    ours: &'a NativeOutcome,
    tolerance: Tolerance,
}

impl<'a> Comparison<'a> {
    /// Of what the host did and what we did.
    pub fn new(
        instruction: &'a Instruction,
        case: &'a NativeCase,
        host: &'a NativeOutcome,
        ours: &'a NativeOutcome,
        segments: &[OfferedSegment],
    ) -> Self {
        let tolerance = Tolerance::of(instruction, case, host, segments);
        Self { instruction, case, host, ours, tolerance }
    }

    /// Whether they agree where the architecture defines the outcome.
    pub fn agrees(&self) -> bool {
        let one_of_several = self.tolerance.order && self.both_faulted_with_a_choice();
        self.tolerance.all
            || one_of_several
            || self.endings_agree()
                && self.first_memory_difference().is_none()
                && self.registers().iter().all(|field| !field.differs)
    }

    fn endings_agree(&self) -> bool {
        // A processor without NX does not report that an access was a fetch (SDM Vol. 3A, "Page-Fault
        // Exceptions").
        const FETCH: u32 = 1 << 4;
        let defined = |ending: Ending| match ending {
            Ending::Exception { vector: 14, error_code, address } => {
                Ending::Exception { vector: 14, error_code: error_code.map(|code| code & !FETCH), address }
            }
            other => other,
        };
        defined(self.host.ending) == defined(self.ours.ending)
    }

    /// Whether both raised a fault, and one of them is that of a memory access or a fetch.
    fn both_faulted_with_a_choice(&self) -> bool {
        const ACCESS: [u8; 5] = [6, 12, 13, 14, 17];
        match (self.host.ending, self.ours.ending) {
            (Ending::Exception { vector: host, .. }, Ending::Exception { vector: ours, .. }) => {
                ACCESS.contains(&host) && ACCESS.contains(&ours) && (host, ours) != (13, 13)
            }
            _ => false,
        }
    }

    fn first_memory_difference(&self) -> Option<usize> {
        let (host, ours) = (&self.host.after.window, &self.ours.after.window);
        if host == ours || self.tolerance.memory {
            return None;
        }
        let open = &self.tolerance.window;
        (0..WINDOW_BYTES).find(|&at| host[at] != ours[at] && !open.contains(&at))
    }

    fn registers(&self) -> Vec<Field> {
        const SREG: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];
        const ST: [&str; 8] = ["st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"];
        const XMM: [&str; 8] = ["xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"];
        let states = [&self.case.before, &self.host.after, &self.ours.after];
        let tolerance = &self.tolerance;
        let mut fields = Vec::with_capacity(48);
        let mut add = |name, digits, value: &dyn Fn(&State) -> u128, agree: &dyn Fn(u128, u128) -> bool| {
            let [before, host, ours] = states.map(value);
            fields.push(Field { name, digits, before, host, ours, differs: !agree(host, ours) });
        };
        let exact = |host, ours| host == ours;
        let but = |open: u32| move |host: u128, ours: u128| (host ^ ours) & !u128::from(open) == 0;
        for (i, name) in GPR.into_iter().enumerate() {
            let open = if tolerance.registers & 1 << i != 0 { u32::MAX } else { 0 };
            add(name, 8, &|s| s.gpr[i].into(), &but(open));
        }
        add("eip", 8, &|s| s.eip.into(), &exact);
        add("eflags", 8, &|s| s.eflags.into(), &but(tolerance.eflags));
        for (i, name) in SREG.into_iter().enumerate() {
            add(name, 4, &|s| s.selectors[i].into(), &exact);
        }
        add("fcw", 4, &|s| s.fx.fcw().into(), &exact);
        add("fsw", 4, &|s| s.fx.fsw().into(), &but(tolerance.fsw.into()));
        add("ftw", 2, &|s| s.fx.u16_at(4).into(), &|host, ours| tolerance.stack || host == ours);
        if !tolerance.pointers {
            add("fop", 4, &|s| s.fx.u16_at(6).into(), &exact);
            add("fip", 8, &|s| s.fx.u32_at(8).into(), &exact);
            add("fdp", 8, &|s| s.fx.u32_at(16).into(), &exact);
        }
        for (i, name) in ST.into_iter().enumerate() {
            let value = |s: &State| s.fx.st(i).iter().rev().fold(0, |v, &b| v << 8 | u128::from(b));
            add(name, 20, &value, &|host, ours| tolerance.stack || tolerance.extended_agree(host, ours));
        }
        add("mxcsr", 8, &|s| s.fx.mxcsr().into(), &exact);
        for (i, name) in XMM.into_iter().enumerate() {
            let value = |s: &State| u128::from_le_bytes(s.fx.xmm(i));
            add(name, 32, &value, &|host, ours| tolerance.vectors_agree(host, ours));
        }
        fields
    }

    /// What changed or differs, as name, the three values, and whether they differ.
    fn rows(&self) -> Vec<(String, [String; 3], bool)> {
        let changed =
            |field: &Field| field.before != field.host || field.before != field.ours || field.differs;
        let hex = |value: u128, digits: usize| format!("{value:0digits$x}");
        let mut rows: Vec<_> = self
            .registers()
            .into_iter()
            .filter(changed)
            .map(|f| {
                let values = [f.before, f.host, f.ours].map(|value| hex(value, f.digits));
                (f.name.to_string(), values, f.differs)
            })
            .collect();
        if let Some(first) = self.first_memory_difference() {
            let start = first & !15;
            let bytes = |s: &State| bytes(&s.window[start..start + 16]);
            let values = [&self.case.before, &self.host.after, &self.ours.after].map(bytes);
            rows.push((format!("[{:05x}]", WINDOW_LINEAR as usize + start), values, true));
        }
        let endings = [String::new(), describe_ending(self.host.ending), describe_ending(self.ours.ending)];
        rows.push(("ending".to_string(), endings, !self.endings_agree()));
        rows
    }

    /// What kind of difference it is: the names of what differs, and the endings without addresses.
    pub fn kind(&self) -> String {
        let rows = self.rows().into_iter().filter(|(_, _, differs)| *differs);
        let vector = |ending: &str| ending.split(" at ").next().unwrap_or_default().to_string();
        let kinds = rows.map(|(name, [_, host, ours], _)| match name.as_str() {
            "ending" => format!("host {} ours {}", vector(&host), vector(&ours)),
            _ if name.starts_with('[') => "memory".to_string(),
            _ if GPR.contains(&name.as_str()) => "register".to_string(),
            _ => name.trim_end_matches(|c: char| c.is_ascii_digit()).to_string(),
        });
        let mut kinds: Vec<_> = kinds.collect();
        kinds.dedup();
        kinds.join(", ")
    }

    /// One line: what differs.
    pub fn summary(&self) -> String {
        let rows = self.rows().into_iter().filter(|(_, _, differs)| *differs);
        let parts = rows.map(|(name, [_, host, ours], _)| format!("{name} host {host} ours {ours}"));
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", listing(self.instruction, &self.case.code))?;
        writeln!(f, "    {:8} {:32} {:32} {:32}", "", "before", "host", "interpreter")?;
        for (name, [before, host, ours], differs) in self.rows() {
            let mark = if differs { '*' } else { ' ' };
            writeln!(f, "  {mark} {name:8} {before:32} {host:32} {ours:32}")?;
        }
        Ok(())
    }
}

fn bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn describe_ending(ending: Ending) -> String {
    match ending {
        Ending::Completed => "completed".to_string(),
        Ending::Exception { vector, error_code, address } => {
            let error = error_code.map_or(String::new(), |code| format!("({code:x})"));
            let address = address.map_or(String::new(), |at| format!(" at {at:x}"));
            format!("exception {vector}{error}{address}")
        }
    }
}

/// Code size, bytes and text of an instruction.
pub fn listing(instruction: &Instruction, code: &[u8]) -> String {
    let mut text = String::new();
    IntelFormatter::new().format(instruction, &mut text);
    let bits = if instruction.code_size() == CodeSize::Code16 { 16 } else { 32 };
    format!("{bits}-bit {}  {text}", bytes(code))
}
