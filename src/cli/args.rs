//! The arguments, and the text of `--help`.

use super::engine::EngineArgs;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use idem86::cpu::processor::Processor;
use idem86::machine::cmos::BootDevice;
use idem86::machine::image::{BackingFiles, Format, ImageOptions};
use idem86::machine::remote::Endpoint;
use idem86::machine::script::Step;
use std::path::PathBuf;
use std::str::FromStr;

/// Runs x86 PCs in pure software.
#[derive(Debug, Parser)]
#[command(name = "idem86", version, about, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot a built-in disk on the built-in BIOS: shows what the machine is and powers it off
    Demo,
    /// Run a PC
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(Box<Run>),
    /// Go on with a PC that was saved
    #[command(after_long_help = RESUME_EXAMPLES)]
    Resume(Box<Resume>),
    /// Compare engines: cost of single operations, or time of whole workloads, with proof of equal work
    #[command(after_long_help = COMPARE_EXAMPLES)]
    Compare(Box<Compare>),
    /// Sort all instructions into privileged, sensitive and innocuous, and see which trap in user mode on this host
    Classify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

const RESUME_EXAMPLES: &str = "\
Examples:
  idem86 run dos.img,snapshot=on --do 'wait-screen A:.>' --save dos
      Boot, and save the machine in directory dos when it shows its prompt.
  idem86 resume dos --do 'type dir\\n' --do 'wait-screen free' --do 'screen-text -'
      Go on from there; dos stays as it is.
  idem86 resume dos --save dos
      Go on from there, and save it again at the end.
  idem86 run dos
      Switch the same machine on, with its disks as they were saved.

The directory holds everything: a copy of it runs elsewhere, and on every engine. Options about the hardware are those
that the machine was saved with.";

/// `idem86 resume`.
#[derive(Debug, ClapArgs)]
#[command(
    mut_arg("images", |a| a.value_name("DIR").required(true).num_args(1).help("Directory of the saved machine")),
    mut_arg("bios", |a| a.hide(true)),
    mut_arg("vga_bios", |a| a.hide(true)),
    mut_arg("kernel", |a| a.hide(true)),
    mut_arg("initrd", |a| a.hide(true)),
    mut_arg("append", |a| a.hide(true)),
    mut_arg("memory", |a| a.hide(true)),
    mut_arg("cpu", |a| a.hide(true)),
    mut_arg("clock", |a| a.hide(true)),
    mut_arg("boot", |a| a.hide(true)),
    mut_arg("no_reboot", |a| a.hide(true)),
    mut_arg("flat", |a| a.hide(true)),
    mut_arg("fda", |a| a.hide(true)),
    mut_arg("fdb", |a| a.hide(true)),
    mut_arg("hda", |a| a.hide(true)),
    mut_arg("hdb", |a| a.hide(true)),
    mut_arg("hdc", |a| a.hide(true)),
    mut_arg("hdd", |a| a.hide(true)),
    mut_arg("cdrom", |a| a.hide(true)),
    mut_arg("snapshot", |a| a.hide(true)),
    mut_arg("debug_exit", |a| a.hide(true)),
    mut_arg("lockstep", |a| a.hide(true)),
    mut_arg("lockstep_units", |a| a.hide(true)),
)]
pub struct Resume {
    /// How it goes on.
    #[command(flatten)]
    pub run: Run,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  idem86 compare
      All nanobenchmarks on all engines and, where that means something, on the host itself.
  idem86 compare rdtsc int-user --engines translator --repeats 9 --peer qemu
      Two of them, on one engine and in QEMU.
  idem86 compare macro --html report.html --json results.json
      Linux and DOS workloads, as far as their guests are there.
  idem86 compare dos.img --do 'wait-screen A:.>' --do 'type dir\\n' --do 'wait-screen free'
      A PC of your own, as for `idem86 run`: how long the steps take on each engine.

Guest time is virtual, and images stay as they are, so that all engines must come to the same state; what does not is
not compared. Exit codes: 0 something was measured, 1 nothing could be, 2 the arguments are not usable.";

/// `idem86 compare`.
#[derive(Debug, ClapArgs)]
#[command(
    mut_arg("images", |a| a.value_name("BENCHMARK|IMAGE").help(
        "Nanobenchmarks and workloads by name, nano or macro for all of them; or images of a PC of your own"
    )),
    mut_arg("steps", |a| a.help("A step to do, as for `idem86 run`; without any, until the guest ends the run")),
    mut_arg("timeout", |a| a.help("Seconds after which a run, or a stage of a workload, has failed")),
    mut_arg("snapshot", |a| a.hide(true)),
    mut_arg("engine", |a| a.hide(true)),
    mut_arg("policy", |a| a.hide(true)),
    mut_arg("chaining", |a| a.hide(true)),
    mut_arg("memory_tier", |a| a.hide(true)),
    mut_arg("clock", |a| a.hide(true)),
    mut_arg("flat", |a| a.hide(true)),
    mut_arg("display", |a| a.hide(true)),
    mut_arg("serial", |a| a.hide(true)),
    mut_arg("debugcon", |a| a.hide(true)),
    mut_arg("lockstep", |a| a.hide(true)),
    mut_arg("lockstep_units", |a| a.hide(true)),
    mut_arg("trace_tu", |a| a.hide(true)),
    mut_arg("perf_map", |a| a.hide(true)),
    mut_arg("save", |a| a.hide(true)),
    mut_arg("record", |a| a.hide(true)),
    mut_arg("replay", |a| a.hide(true)),
    mut_arg("gdb", |a| a.hide(true)),
    mut_arg("qmp", |a| a.hide(true)),
    mut_arg("freeze", |a| a.hide(true)),
    mut_arg("stats", |a| a.hide(true)),
)]
pub struct Compare {
    /// The PC of the user's own.
    #[command(flatten)]
    pub run: Run,

    /// Engines to compare, with commas between them; NAME:OPTION for one with other options: callout, in-cache,
    /// unchained, tables, windows [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Comparison")]
    pub engines: Vec<String>,

    /// How often each engine is measured, in turn with the others
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Comparison")]
    pub repeats: u32,

    /// How long a run of a nanobenchmark should take
    #[arg(long, value_name = "MS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=10_000), help_heading = "Comparison")]
    pub milliseconds: u64,

    /// Do not measure the host itself
    #[arg(long, help_heading = "Comparison")]
    pub no_native: bool,

    /// Measure nanobenchmarks in another emulator too
    #[arg(long, value_name = "PEER", help_heading = "Comparison")]
    pub peer: Option<Peer>,

    /// Write the results with all that was measured
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    pub json: Option<PathBuf>,

    /// Write the results as a table for spreadsheets
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    pub csv: Option<PathBuf>,

    /// Write the results as a page with plots; it needs nothing else
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    pub html: Option<PathBuf>,

    /// List the nanobenchmarks and workloads there are
    #[arg(long, help_heading = "Comparison")]
    pub list: bool,
}

/// `--peer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// QEMU TCG: qemu-system-i386 on PATH
    Qemu,
}

const RUN_EXAMPLES: &str = "\
Examples:
  idem86 run freedos.img
      Boot a floppy image; the guest's text screen appears in the terminal. Ctrl-] leaves.
  idem86 run --hda disk.img,snapshot=on --display none --serial stdio
      Boot a disk whose file stays untouched, with COM1 in the terminal. Ctrl-] leaves.
  idem86 run dos.img --do 'wait-screen A:.>' --do 'type dir\\n' --do 'sleep 1' --do 'screen-text -' --do quit
      Type a command at the DOS prompt, print the screen, and end.
  idem86 run dos.img --record session.rec
      Use it; idem86 run dos.img --replay session.rec then does the same again, on any engine.
  idem86 run --flat boot.bin
      Run a flat image on a bare processor.

Options of images, behind their file names and a comma each:
  snapshot=on           what the guest writes is forgotten; the file stays as it is
  readonly=on           the guest cannot write
  format=raw|qcow2      what the file is [default: qcow2 if it begins as one, else raw]
  backing=anywhere      a qcow2 image may name backing files that are not in its folder or below

Steps (--do), done in order, in guest time:
  wait-serial REGEX     until COM1 has printed a match
  wait-screen REGEX     until the text screen shows a match (^ and $ match at line ends)
  type TEXT             on the keyboard; \\n \\t \\e \\\\ \\xNN as in C
  key CHORD             keys pressed together, like ctrl-alt-del, f1, up
  send-serial TEXT      to COM1, with the same escapes
  sleep SECONDS         of guest time
  screenshot FILE.png   the screen as a picture
  screen-text FILE|-    the text screen as text
  save DIR              the whole machine, for `idem86 resume DIR`
  quit                  end the run

Exit codes:
  0        the guest powered off, or all steps are done
  1        a step failed, or the machine cannot go on
  2        the arguments or an image are not usable
  124      the time was up (--timeout)
  (V<<1)|1 the guest wrote V to the debug-exit port";

/// `idem86 run`.
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Floppy, hard disk or CD-ROM images, raw or qcow2, recognised by content; or the directory of a saved machine, to switch it on
    #[arg(value_name = "IMAGE")]
    pub images: Vec<Drive>,

    /// BIOS image to start, or builtin for our own [default: builtin]
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    pub bios: Option<PathBuf>,

    /// ROM of the display adapter, put at C0000h [default: our own]
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    pub vga_bios: Option<PathBuf>,

    /// Linux (bzImage) or multiboot kernel to start
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    pub kernel: Option<PathBuf>,

    /// Initial RAM disk of the kernel (for a multiboot kernel its module)
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    pub initrd: Option<PathBuf>,

    /// Command line of the kernel
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Machine"
    )]
    pub append: String,

    /// Size of guest memory: a number of bytes, or with suffix K, M or G
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size, help_heading = "Machine")]
    pub memory: u64,

    /// Processor: 486, pentium, pentium-mmx, pentium2, pentium3 or max; behind it ,-FEATURE or ,+FEATURE for features
    /// as CPUID tells of them, like max,-sse3,-pae
    #[arg(long, value_name = "MODEL[,-FEATURE...]", default_value = "max", help_heading = "Machine")]
    pub cpu: Processor,

    /// What executes guest instructions.
    #[command(flatten)]
    pub engine: EngineArgs,

    /// What guest time follows
    #[arg(long, value_name = "CLOCK", default_value = "host", help_heading = "Machine")]
    pub clock: ClockArg,

    /// Order of boot devices: a floppy, c hard disk, d CD-ROM
    #[arg(long, value_name = "ORDER", value_parser = boot_order, help_heading = "Machine")]
    pub boot: Option<BootList>,

    /// Stop at the first reset or triple fault
    #[arg(long, help_heading = "Machine")]
    pub no_reboot: bool,

    /// Run IMAGE on a bare processor: loaded at 0000:7C00 in real mode, COM1 printed to standard output
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["images", "bios"], help_heading = "Machine")]
    pub flat: Option<PathBuf>,

    /// Diskette in drive A
    #[arg(long, value_name = DRIVE, help_heading = "Drives")]
    pub fda: Option<Drive>,

    /// Diskette in drive B
    #[arg(long, value_name = DRIVE, help_heading = "Drives")]
    pub fdb: Option<Drive>,

    /// Primary master disk
    #[arg(long, value_name = DRIVE, help_heading = "Drives")]
    pub hda: Option<Drive>,

    /// Primary slave disk
    #[arg(long, value_name = DRIVE, help_heading = "Drives")]
    pub hdb: Option<Drive>,

    /// Secondary master disk
    #[arg(long, value_name = DRIVE, help_heading = "Drives")]
    pub hdc: Option<Drive>,

    /// Secondary slave disk
    #[arg(long, value_name = DRIVE, help_heading = "Drives")]
    pub hdd: Option<Drive>,

    /// CD-ROM
    #[arg(long, value_name = "FILE", help_heading = "Drives")]
    pub cdrom: Option<Drive>,

    /// Leave all image files untouched: as snapshot=on for each
    #[arg(long, help_heading = "Drives")]
    pub snapshot: bool,

    /// Show the guest's text screen in the terminal [default: text in a terminal, if no serial port uses it]
    #[arg(long, value_name = "DISPLAY", help_heading = "Input and output")]
    pub display: Option<Display>,

    /// Where a serial port goes: stdio, none or file:PATH. The first is COM1, the next COM2, up to COM4
    #[arg(long, value_name = "TARGET", help_heading = "Input and output")]
    pub serial: Vec<Output>,

    /// Where the debug console (ports E9h and 402h) goes: stdio or file:PATH
    #[arg(long, value_name = "TARGET", help_heading = "Input and output")]
    pub debugcon: Option<Output>,

    /// Port that ends the run: a write of V exits with code (V << 1) | 1
    #[arg(long, value_name = "PORT", value_parser = port, help_heading = "Input and output")]
    pub debug_exit: Option<u16>,

    /// A step to do; may be repeated. --help lists them
    #[arg(long = "do", value_name = "STEP", help_heading = "Input and output")]
    pub steps: Vec<Step>,

    /// Stop after this many seconds, with exit code 124
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Input and output")]
    pub timeout: Option<f64>,

    /// Run the same machine on the interpreter beside it, for this many seconds of guest time, and stop where the two
    /// differ, with a listing; implies --clock virtual and --snapshot
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with_all = ["flat", "display", "serial"], help_heading = "Machine")]
    pub lockstep: Option<f64>,

    /// With --lockstep, compare behind each translation unit, which does not lead to others then, instead of every 1999
    /// instructions; from this guest time on, if one is given
    #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1, require_equals = true, requires = "lockstep", help_heading = "Machine")]
    pub lockstep_units: Option<Option<f64>>,

    /// List each translation unit in this file: the guest's instructions and the host's that they became
    #[arg(long, value_name = "FILE", conflicts_with_all = ["flat", "lockstep"], help_heading = "Machine")]
    pub trace_tu: Option<PathBuf>,

    /// Tell Linux's perf where translation units are, in /tmp/perf-PID.map
    #[arg(long, conflicts_with_all = ["flat", "lockstep"], help_heading = "Machine")]
    pub perf_map: bool,

    /// Save the whole machine in this directory when the run ends, for `idem86 resume DIR`
    #[arg(long, value_name = "DIR", conflicts_with_all = ["flat", "lockstep"], help_heading = "Machine")]
    pub save: Option<PathBuf>,

    /// Record in this file what reaches the machine from outside, for --replay; implies --clock virtual and --snapshot
    #[arg(long, value_name = "FILE", conflicts_with_all = ["flat", "lockstep"], help_heading = "Input and output")]
    pub record: Option<PathBuf>,

    /// Repeat what was recorded, on the same machine, and check that it comes to the same state; steps are done after
    /// it, without any the run ends there. Implies --clock virtual and --snapshot
    #[arg(long, value_name = "FILE", conflicts_with_all = ["flat", "lockstep", "record", "freeze"], help_heading = "Input and output")]
    pub replay: Option<PathBuf>,

    /// Serve gdb, at tcp:127.0.0.1:1234 unless told otherwise: unix:PATH or tcp:127.0.0.1:PORT
    #[arg(long, value_name = "ENDPOINT", num_args = 0..=1, require_equals = true, default_missing_value = "tcp:127.0.0.1:1234", conflicts_with_all = ["flat", "lockstep"], help_heading = "Debugging and control")]
    pub gdb: Option<Endpoint>,

    /// Serve management tools by the QEMU machine protocol, at unix:PATH or tcp:127.0.0.1:PORT
    #[arg(long, value_name = "ENDPOINT", conflicts_with_all = ["flat", "lockstep"], help_heading = "Debugging and control")]
    pub qmp: Option<Endpoint>,

    /// Do not start the machine: wait until gdb or a control peer says so
    #[arg(long, conflicts_with_all = ["flat", "lockstep"], help_heading = "Debugging and control")]
    pub freeze: bool,

    /// Say at the end what the run cost
    #[arg(long, help_heading = "Input and output")]
    pub stats: bool,
}

impl Run {
    /// Whether runs must repeat: guest time is virtual, and images stay as they are.
    pub fn repeats(&self) -> bool {
        self.lockstep.is_some() || self.record.is_some() || self.replay.is_some()
    }
}

/// How drives are written.
const DRIVE: &str = "FILE[,OPTIONS]";

/// A drive's image and options.
#[derive(Clone, Debug)]
pub struct Drive(pub ImageOptions);

impl FromStr for Drive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Options are taken from the end, so that file names may contain commas.
        let mut options = ImageOptions::new("");
        let mut path = text;
        while let Some((before, option)) = path.rsplit_once(',') {
            let Some((name, value)) = option.split_once('=') else { break };
            let wrong = |expected: &str| format!("{option}: expected {expected}");
            let flag = match value {
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err(wrong("on or off")),
            };
            match name {
                "snapshot" => options.snapshot = flag?,
                "readonly" => options.read_only = flag?,
                "format" => {
                    options.format = Some(Format::named(value).ok_or_else(|| wrong("raw or qcow2"))?);
                }
                "backing" => {
                    options.backing = match value {
                        "folder" => BackingFiles::InFolder,
                        "anywhere" => BackingFiles::Anywhere,
                        _ => return Err(wrong("folder or anywhere")),
                    };
                }
                _ => break,
            }
            path = before;
        }
        if path.is_empty() {
            return Err("expected a file name".into());
        }
        options.path = path.into();
        Ok(Drive(options))
    }
}

/// `--clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockArg {
    /// The host's clock: a second in the guest is a second outside
    Host,
    /// Retired instructions: the same run gives the same times everywhere
    Virtual,
}

/// `--display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Display {
    /// The text screen, in colours, with the keyboard; Ctrl-] leaves
    Text,
    /// No display
    None,
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output (and input, for a serial port).
    Stdio,
    /// Nowhere.
    None,
    /// A file.
    File(PathBuf),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Output::File(path.into())),
            None if text == "stdio" => Ok(Output::Stdio),
            None if text == "none" => Ok(Output::None),
            _ => Err("expected stdio, none or file:PATH".into()),
        }
    }
}

/// `--boot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootList(pub Vec<BootDevice>);

fn boot_order(text: &str) -> Result<BootList, String> {
    let device = |c| match c {
        'a' => Ok(BootDevice::Floppy),
        'c' => Ok(BootDevice::Disk),
        'd' => Ok(BootDevice::Cdrom),
        _ => Err("expected letters of a (floppy), c (hard disk) and d (CD-ROM)".to_string()),
    };
    let order: Vec<BootDevice> = text.chars().map(device).collect::<Result<_, _>>()?;
    if (1..=3).contains(&order.len()) {
        Ok(BootList(order))
    } else {
        Err("expected one to three letters".into())
    }
}

/// The largest memory that 32-bit physical addresses leave room for below the devices.
const MEMORY_MAX: u64 = 3 << 30;

fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let n: u64 =
        digits.parse().map_err(|_| "expected a number, perhaps with K, M or G behind it".to_string())?;
    let bytes = n.checked_mul(1 << shift).filter(|b| *b <= MEMORY_MAX).ok_or("at most 3G")?;
    if bytes < 1 << 20 {
        Err("at least 1M".into())
    } else if !bytes.is_multiple_of(4096) {
        Err("a multiple of 4K".into())
    } else {
        Ok(bytes)
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .map_err(|_| "expected a port from 0 to 65535, or 0x0 to 0xFFFF".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= 1e9 => Ok(s),
        _ => Err("expected a positive number of seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_and_ports() {
        assert_eq!(size("16M"), Ok(16 << 20));
        assert!(
            size("1K").is_err() && size("99G").is_err() && size("M").is_err() && size("2000001").is_err()
        );
        assert_eq!(port("0xF4"), Ok(0xF4));
        assert!(port("0x10000").is_err());
    }

    #[test]
    fn drives_with_options() {
        let Drive(options) = "a,b.img,snapshot=on,readonly=off".parse().unwrap();
        assert_eq!(options.path, PathBuf::from("a,b.img"));
        assert!(options.snapshot && !options.read_only);
        let Drive(options) = "a.img,format=raw,backing=anywhere,readonly=on".parse().unwrap();
        assert_eq!((options.format, options.backing), (Some(Format::Raw), BackingFiles::Anywhere));
        assert!(options.read_only);
        assert_eq!(options.path, PathBuf::from("a.img"));
        for wrong in ["x,snapshot=perhaps", ",readonly=on", "x,format=vmdk", "x,backing=off"] {
            assert!(wrong.parse::<Drive>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn outputs_and_boot_orders() {
        assert_eq!("file:a:b".parse(), Ok(Output::File("a:b".into())));
        assert!("file:".parse::<Output>().is_err() && "tty".parse::<Output>().is_err());
        assert_eq!(boot_order("dc").unwrap().0, [BootDevice::Cdrom, BootDevice::Disk]);
        assert!(boot_order("x").is_err() && boot_order("").is_err());
    }
}
