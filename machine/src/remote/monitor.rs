//! The monitor: commands for people, typed in a debugger or sent through the control socket.

use super::desk::Stand;
use super::drives::{self, Inserted};
use super::memory::{self, Space};
use super::snapshots;
use crate::image::ImageOptions;
use crate::registers::{REGISTERS, linear_ip};
use idem86_cpu::decode::{self, MAX_LENGTH};
use idem86_cpu::state::segment::SegReg;
use std::fmt::Write;
use std::path::Path;

/// A command that could not be done, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Problem(pub(super) String);

/// Bytes that one command may show.
const SHOWN_MAX: u64 = 64 << 10;

type Done = Result<String, Problem>;

/// A command: its name and others for it, what it takes, what it does.
struct Command {
    names: &'static [&'static str],
    takes: &'static str,
    does: &'static str,
    run: fn(&mut Stand<'_>, &str) -> Done,
}

const COMMANDS: &[Command] = &[
    Command { names: &["help", "?"], takes: "", does: "lists the commands", run: help },
    Command {
        names: &["info"],
        takes: "registers|status|version|block|snapshots",
        does: "shows something",
        run: info,
    },
    Command {
        names: &["x"],
        takes: "/FMT ADDRESS",
        does: "shows memory at a linear address; x/4xw, x/10i, x/16cb",
        run: examine_linear,
    },
    Command {
        names: &["xp", "mem"],
        takes: "/FMT ADDRESS",
        does: "shows memory at a physical address",
        run: examine_physical,
    },
    Command { names: &["stop", "s"], takes: "", does: "lets the machine stand still", run: stop },
    Command { names: &["cont", "c"], takes: "", does: "lets the machine run on", run: resume },
    Command { names: &["system_reset", "reset"], takes: "", does: "presses the reset button", run: reset },
    Command {
        names: &["system_powerdown", "powerdown"],
        takes: "",
        does: "presses the power button",
        run: power_down,
    },
    Command {
        names: &["sendkey"],
        takes: "CHORD",
        does: "presses keys together, like ctrl-alt-del",
        run: send_key,
    },
    Command { names: &["savevm"], takes: "NAME", does: "keeps the machine's state in memory", run: save },
    Command { names: &["loadvm"], takes: "NAME", does: "comes back to a kept state", run: load },
    Command { names: &["delvm"], takes: "NAME", does: "forgets a kept state", run: delete },
    Command { names: &["eject"], takes: "[-f] DRIVE", does: "takes out what is in a drive", run: eject },
    Command { names: &["change"], takes: "DRIVE FILE", does: "puts an image into a drive", run: change },
    Command {
        names: &["screendump"],
        takes: "FILE",
        does: "writes the screen as a PNG picture",
        run: screen_dump,
    },
    Command { names: &["quit", "q"], takes: "", does: "ends the run", run: quit },
];

/// Does `line`, and gives what it prints.
pub(super) fn execute(stand: &mut Stand<'_>, line: &str) -> Done {
    let line = line.trim();
    let (name, rest) = line.split_at(line.find([' ', '/']).unwrap_or(line.len()));
    let command = COMMANDS.iter().find(|c| c.names.contains(&name));
    match command {
        Some(command) => (command.run)(stand, rest.trim()),
        None if name.is_empty() => Ok(String::new()),
        None => Err(Problem(format!("unknown command: {name:?}; \"help\" lists what there is"))),
    }
}

fn help(_: &mut Stand<'_>, _: &str) -> Done {
    let mut text = String::new();
    for Command { names, takes, does, .. } in COMMANDS {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:52} {does}", format!("{} {takes}", names.join("|")));
    }
    Ok(text)
}

fn info(stand: &mut Stand<'_>, what: &str) -> Done {
    match what {
        "registers" => Ok(registers(stand)),
        "status" => {
            Ok(format!("VM status: {}\n", if stand.running.is_running() { "running" } else { "paused" }))
        }
        "version" => Ok(format!("idem86 {}\n", env!("CARGO_PKG_VERSION"))),
        "block" => Ok(blocks(stand)),
        "snapshots" => Ok(stand.snapshots.names().map(|name| format!("{name}\n")).collect()),
        _ => {
            Err(Problem(format!("info knows registers, status, version, block and snapshots, not {what:?}")))
        }
    }
}

fn blocks(stand: &mut Stand<'_>) -> String {
    let mut text = String::new();
    for drive in drives::list(stand.machine) {
        let _ = match drive.medium {
            Some(Inserted { size, read_only, .. }) => {
                let protected = if read_only { ", read-only" } else { "" };
                writeln!(text, "{}: {size} bytes{protected}", drive.name)
            }
            None => writeln!(text, "{}: empty", drive.name),
        };
    }
    text
}

/// The registers, as a person wants to see them.
fn registers(stand: &Stand<'_>) -> String {
    let state = stand.machine.cpu.save();
    let mut text = String::new();
    let value = |name: &str| {
        let register = REGISTERS.iter().find(|r| r.name == name);
        register.map_or(0, |r| u128::from_le_bytes(r.read(&state)))
    };
    for row in [["eax", "ebx", "ecx", "edx"], ["esi", "edi", "ebp", "esp"]] {
        let columns = row.map(|name| format!("{}={:08x}", name.to_uppercase(), value(name)));
        let _ = writeln!(text, "{}", columns.join(" "));
    }
    let halted = u8::from(state.halted);
    let _ = writeln!(
        text,
        "EIP={:08x} EFL={:08x} CPL={} HLT={halted} linear={:08x} work={}",
        state.rip,
        state.eflags,
        state.cpl,
        linear_ip(&state),
        state.retired
    );
    for r in SegReg::ALL {
        let s = &state.seg[r as usize];
        let name = format!("{r:?}").to_uppercase();
        let _ =
            writeln!(text, "{name:3}={:04x} {:08x} {:08x} {:04x}", s.selector, s.base, s.limit, s.access.0);
    }
    for (name, s) in [("LDT", &state.ldtr), ("TR", &state.tr)] {
        let _ =
            writeln!(text, "{name:3}={:04x} {:08x} {:08x} {:04x}", s.selector, s.base, s.limit, s.access.0);
    }
    for (name, t) in [("GDT", state.gdtr), ("IDT", state.idtr)] {
        let _ = writeln!(text, "{name}=     {:08x} {:08x}", t.base, t.limit);
    }
    let _ = writeln!(
        text,
        "CR0={:08x} CR2={:08x} CR3={:08x} CR4={:08x}",
        state.cr0, state.cr2, state.cr3, state.cr4
    );
    let [a, b, c, d] = state.dr;
    let _ = writeln!(text, "DR0={a:08x} DR1={b:08x} DR2={c:08x} DR3={d:08x}");
    let _ = writeln!(text, "DR6={:08x} DR7={:08x} EFER={:016x}", state.dr6, state.dr7, state.efer);
    let _ = writeln!(
        text,
        "FCW={:04x} FSW={:04x} FTW={:04x} MXCSR={:08x}",
        state.x87.control,
        state.x87.status_word(),
        state.x87.tag_word(),
        state.simd.mxcsr
    );
    text
}

/// What `x` shows: how many items, of how many bytes, in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    count: u64,
    letter: char,
    size: u64,
}

impl Format {
    /// Parses what is behind the slash.
    fn parse(text: &str) -> Option<Format> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count = if digits == 0 { 1 } else { text[..digits].parse().ok()? };
        let mut format = Format { count, letter: 'x', size: 4 };
        for c in text[digits..].chars() {
            match c {
                'x' | 'd' | 'u' | 'o' | 'c' | 'i' | 't' => format.letter = c,
                'b' => format.size = 1,
                'h' => format.size = 2,
                'w' => format.size = 4,
                'g' => format.size = 8,
                _ => return None,
            }
        }
        Some(format)
    }

    fn item(self, value: u64) -> String {
        let (digits, bits) = (self.size as usize * 2, self.size * 8);
        match self.letter {
            'd' => (((value << (64 - bits)) as i64) >> (64 - bits)).to_string(),
            'u' => value.to_string(),
            'o' => format!("{value:#o}"),
            't' => format!("{value:0width$b}", width = bits as usize),
            'c' => format!("{:?}", char::from(value as u8)),
            _ => format!("{value:#0width$x}", width = digits + 2),
        }
    }
}

fn examine_linear(stand: &mut Stand<'_>, rest: &str) -> Done {
    examine(stand, Space::Linear, rest)
}

fn examine_physical(stand: &mut Stand<'_>, rest: &str) -> Done {
    examine(stand, Space::Physical, rest)
}

fn examine(stand: &mut Stand<'_>, space: Space, rest: &str) -> Done {
    let wants = || Problem("wants /FMT ADDRESS, as in x/4xw 0x7c00".into());
    let (format, address) = match rest.strip_prefix('/') {
        Some(rest) => rest.split_once(' ').ok_or_else(wants)?,
        None => ("", rest),
    };
    let format = Format::parse(format).ok_or_else(wants)?;
    let mut at = number(stand, address.trim()).ok_or_else(wants)?;
    if format.count.saturating_mul(format.size) > SHOWN_MAX {
        return Err(Problem(format!("shows at most {SHOWN_MAX} bytes at once")));
    }
    if format.letter == 'i' {
        return list_code(stand, space, at, format.count);
    }
    let per_row = (16 / format.size).max(1);
    let mut text = String::new();
    for n in 0..format.count {
        let mut bytes = [0; 8];
        let size = format.size as usize;
        if memory::read(stand.machine, space, at, &mut bytes[..size]) < size {
            return Err(Problem(format!("{text}cannot read memory at {at:#x}")));
        }
        if n % per_row == 0 {
            let _ = write!(text, "{}{at:08x}:", if n > 0 { "\n" } else { "" });
        }
        let _ = write!(text, " {}", format.item(u64::from_le_bytes(bytes)));
        at = at.wrapping_add(format.size);
    }
    text.push('\n');
    Ok(text)
}

fn list_code(stand: &mut Stand<'_>, space: Space, mut at: u64, count: u64) -> Done {
    let size = stand.machine.cpu.code_size();
    let mut text = String::new();
    for _ in 0..count {
        let mut bytes = [0; MAX_LENGTH];
        let read = memory::read(stand.machine, space, at, &mut bytes);
        match decode::disassemble(&bytes[..read], size, at) {
            Some((instruction, len)) => {
                let _ = writeln!(text, "{at:08x}: {instruction}");
                at = at.wrapping_add(len as u64);
            }
            None if read == 0 => return Err(Problem(format!("{text}cannot read memory at {at:#x}"))),
            None => {
                let _ = writeln!(text, "{at:08x}: (bad)");
                at = at.wrapping_add(1);
            }
        }
    }
    Ok(text)
}

/// A number, or a register's value by `$name`.
fn number(stand: &Stand<'_>, text: &str) -> Option<u64> {
    if let Some(name) = text.strip_prefix('$') {
        let name = if name == "pc" { "linear_ip" } else { name };
        let register = REGISTERS.iter().find(|r| r.name == name)?;
        return Some(u128::from_le_bytes(register.read(&stand.machine.cpu.save())) as u64);
    }
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn stop(stand: &mut Stand<'_>, _: &str) -> Done {
    stand.running.stop();
    Ok(String::new())
}

fn resume(stand: &mut Stand<'_>, _: &str) -> Done {
    stand.running.resume();
    Ok(String::new())
}

fn reset(stand: &mut Stand<'_>, _: &str) -> Done {
    stand.reset();
    Ok(String::new())
}

fn power_down(stand: &mut Stand<'_>, _: &str) -> Done {
    stand.press_power_button();
    Ok(String::new())
}

fn quit(stand: &mut Stand<'_>, _: &str) -> Done {
    stand.running.quit();
    Ok(String::new())
}

fn save(stand: &mut Stand<'_>, name: &str) -> Done {
    snapshots::save(stand, name).map(|()| String::new())
}

fn load(stand: &mut Stand<'_>, name: &str) -> Done {
    snapshots::load(stand, name).map(|()| String::new())
}

fn delete(stand: &mut Stand<'_>, name: &str) -> Done {
    snapshots::delete(stand, name).map(|()| String::new())
}

fn eject(stand: &mut Stand<'_>, rest: &str) -> Done {
    let (force, name) = match rest.strip_prefix("-f ") {
        Some(name) => (true, name.trim()),
        None => (false, rest),
    };
    drives::eject(stand.machine, name, force).map(|()| String::new())
}

fn change(stand: &mut Stand<'_>, rest: &str) -> Done {
    let (name, path) = rest.split_once(' ').ok_or_else(|| Problem("wants a drive and a file".into()))?;
    drives::change(stand.machine, name, ImageOptions::new(path.trim()), true).map(|()| String::new())
}

fn send_key(stand: &mut Stand<'_>, chord: &str) -> Done {
    stand.machine.press(chord).map(|()| String::new()).map_err(|e| Problem(e.to_string()))
}

fn screen_dump(stand: &mut Stand<'_>, path: &str) -> Done {
    if path.is_empty() {
        return Err(Problem("wants a file name".into()));
    }
    write_screen(stand, Path::new(path))?;
    Ok(String::new())
}

/// Writes the screen to `path`: the whole picture, or nothing.
pub(super) fn write_screen(stand: &mut Stand<'_>, path: &Path) -> Result<(), Problem> {
    write_whole(path, |file| stand.machine.write_screenshot(file).map_err(|e| e.to_string()))
}

/// Lets `write` make the file at `path`, which appears only when it is complete.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> Result<(), String>,
) -> Result<(), Problem> {
    let problem = |e: &dyn std::fmt::Display| Problem(format!("{}: {e}", path.display()));
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|e| problem(&e))?;
    let mut buffered = std::io::BufWriter::new(&mut file);
    write(&mut buffered).map_err(|e| problem(&e))?;
    std::io::Write::flush(&mut buffered).map_err(|e| problem(&e))?;
    drop(buffered);
    file.persist(path).map_err(|e| problem(&e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_they_are_written() {
        assert_eq!(Format::parse(""), Some(Format { count: 1, letter: 'x', size: 4 }));
        assert_eq!(Format::parse("16xb"), Some(Format { count: 16, letter: 'x', size: 1 }));
        assert_eq!(Format::parse("3i"), Some(Format { count: 3, letter: 'i', size: 4 }));
        assert_eq!(Format::parse("2q"), None);
        assert_eq!(Format::parse("99999999999999999999x"), None);
        let item = |text: &str, value| Format::parse(text).unwrap().item(value);
        assert_eq!(item("xh", 0x12), "0x0012");
        assert_eq!(item("db", 0xFF), "-1");
        assert_eq!(item("ug", u64::MAX), u64::MAX.to_string());
        assert_eq!(item("cb", 0x41), "'A'");
    }
}
