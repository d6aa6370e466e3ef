//! `idem86 run`: a PC, from arguments to exit code.

use super::args::{self, ClockArg, Drive, Output, Run};
use super::output::Sink;
use super::terminal::{self, Terminal};
use super::{EXIT_TIMEOUT, Failure};
use idem86::cpu::state::segment::SegReg;
use idem86::devices::rtc::CivilDateTime;
use idem86::devices::time::GuestDuration;
use idem86::machine::builder::Builder;
use idem86::machine::clock::ClockKind;
use idem86::machine::engine::Watched;
use idem86::machine::image::ImageOptions;
use idem86::machine::image::source::Disk;
use idem86::machine::input::recording::{Recording, ReplayError};
use idem86::machine::machine::{Machine, Outcome};
use idem86::machine::remote::gdb::GdbServer;
use idem86::machine::remote::qmp::QmpServer;
use idem86::machine::remote::{Desk, End, Endpoint, Turn};
use idem86::machine::script::{Script, ScriptState};
use idem86::machine::snapshot::{Snapshot, VmDirectory};
use std::fmt::Display;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Guest time between two looks at input, output and steps.
const SLICE: GuestDuration = GuestDuration::from_millis(5);
/// Host time between two pictures of the text screen.
const FRAME: Duration = Duration::from_millis(33);

/// How a machine begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At its reset vector.
    SwitchedOn,
    /// Where it was saved.
    Resumed,
}

/// Runs the machine and gives the exit code.
pub fn run(args: &Run, begin: Begin) -> Result<u8, Failure> {
    let mut session = Session::new(args, begin)?;
    let ended = session.run();
    // Also of a run that failed: it can be looked at again.
    let recorded = session.write_recording();
    let closed = session.close().and_then(|()| if ended.is_ok() { session.save() } else { Ok(()) });
    if args.stats {
        session.print_stats();
    }
    let code = ended?;
    recorded.and(closed)?;
    Ok(code)
}

fn usage(error: &dyn Display) -> Failure {
    Failure::Usage(error.to_string())
}

/// The machine that the arguments describe, or that was saved. `directory` is the one that is locked already.
fn machine(args: &Run, begin: Begin, directory: Option<&VmDirectory>) -> Result<Machine, Failure> {
    let saved = match &args.images[..] {
        [Drive(only)] if begin == Begin::Resumed || VmDirectory::is_one(&only.path) => &only.path,
        _ => return builder(args)?.build().map_err(|e| usage(&e)),
    };
    let same = |directory: &&VmDirectory| {
        let real = |path: &Path| path.canonicalize().ok();
        real(directory.path()) == real(saved)
    };
    let snapshot = match directory.filter(same) {
        Some(directory) => directory.load(),
        None => Snapshot::load(saved),
    };
    let snapshot = snapshot.map_err(|e| usage(&e))?;
    let kind = if args.engine.given() { args.engine.kind()? } else { snapshot.engine() };
    let machine = match begin {
        Begin::Resumed => snapshot.spawn_on(kind),
        Begin::SwitchedOn => snapshot.power_on(kind),
    };
    machine.map_err(|e| usage(&format_args!("{}: {e}", saved.display())))
}

/// A machine with everything that is connected to it.
struct Session<'a> {
    args: &'a Run,
    machine: Machine,
    script: Script,
    serial: Vec<Sink>,
    debugcon: Option<Sink>,
    terminal: Option<Terminal>,
    interrupted: Arc<AtomicBool>,
    started: Instant,
    last_frame: Instant,
    /// Where translation units are listed.
    listing: Option<(PathBuf, File)>,
    /// Where perf finds them.
    perf_map: Option<(PathBuf, File)>,
    /// Where others ask for things. It goes before those who serve them, so that they know that it is over.
    desk: Desk,
    _gdb: Option<GdbServer>,
    _qmp: Option<QmpServer>,
    /// Where the machine is saved at the end.
    directory: Option<VmDirectory>,
    /// Where its recording goes.
    record: Option<(PathBuf, File)>,
    /// What is repeated first.
    replay: Option<Recording>,
}

impl<'a> Session<'a> {
    fn new(args: &'a Run, begin: Begin) -> Result<Self, Failure> {
        // Locked before anything runs, so that no run is in vain.
        let directory = args.save.as_ref().map(VmDirectory::create).transpose().map_err(|e| usage(&e))?;
        let mut machine = machine(args, begin, directory.as_ref())?;
        if directory.is_some() {
            machine.check_media().map_err(|e| usage(&e))?;
        }
        if args.serial.len() > 4 {
            return Err(Failure::Usage(
                "a PC has four serial ports, but --serial was given more often".into(),
            ));
        }
        let serial_stdio = args.serial.first() == Some(&Output::Stdio);
        if args.serial.iter().skip(1).any(|s| *s == Output::Stdio) {
            return Err(Failure::Usage("only the first serial port can use stdio".into()));
        }
        let serial = args.serial.iter().map(Sink::open).collect::<Result<_, _>>()?;
        let debugcon = args.debugcon.as_ref().map(Sink::open).transpose()?;
        let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let scripted = !args.steps.is_empty();
        let display = args.display.unwrap_or(if interactive && !serial_stdio && !scripted {
            args::Display::Text
        } else {
            args::Display::None
        });
        let terminal = match display {
            args::Display::Text if serial_stdio => {
                return Err(Failure::Usage(
                    "--display text and --serial stdio both want the terminal".into(),
                ));
            }
            args::Display::Text => Some(Terminal::text()?),
            args::Display::None if serial_stdio => Some(Terminal::serial()?),
            args::Display::None => None,
        };
        let create = |path: PathBuf| match File::create(&path) {
            Ok(file) => Ok((path, file)),
            Err(e) => Err(Failure::Usage(format!("{}: {e}", path.display()))),
        };
        let perf_map = args.perf_map.then(|| format!("/tmp/perf-{}.map", std::process::id()).into());
        let watched = args.trace_tu.is_some() || args.perf_map;
        if watched && !machine.engine.watch() {
            return Err(Failure::Usage("--trace-tu and --perf-map want --engine translator".into()));
        }
        let (listing, perf_map) =
            (args.trace_tu.clone().map(create).transpose()?, perf_map.map(create).transpose()?);
        if args.freeze && args.gdb.is_none() && args.qmp.is_none() {
            return Err(Failure::Usage(
                "--freeze wants --gdb or --qmp: somebody must start the machine".into(),
            ));
        }
        let mut desk = Desk::new(args.freeze);
        let refused = |option: &str, at: &Endpoint, e| Failure::Usage(format!("{option} {at}: {e}"));
        let gdb = args.gdb.as_ref().map(|at| {
            GdbServer::start(at, desk.link())
                .inspect(|server| eprintln!("idem86: gdb is served at {}", server.endpoint()))
                .map_err(|e| refused("--gdb", at, e))
        });
        let qmp = args.qmp.as_ref().map(|at| {
            QmpServer::start(at, desk.link())
                .inspect(|server| eprintln!("idem86: control peers are served at {}", server.endpoint()))
                .map_err(|e| refused("--qmp", at, e))
        });
        let (gdb, qmp) = (gdb.transpose()?, qmp.transpose()?);
        desk.outlive_halts(gdb.is_some() || qmp.is_some());
        let replay = args.replay.as_ref().map(|path| recording(path)).transpose()?;
        let record = args.record.clone().map(create).transpose()?;
        if record.is_some() {
            machine.record().map_err(|e| usage(&format_args!("--record: {e}")))?;
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .map_err(|e| Failure::Failed(format!("cannot handle signals: {e}")))?;
        Ok(Session {
            args,
            machine,
            script: Script::new(args.steps.clone()),
            serial,
            debugcon,
            terminal,
            interrupted,
            started: Instant::now(),
            last_frame: Instant::now(),
            listing,
            perf_map,
            desk,
            _gdb: gdb,
            _qmp: qmp,
            directory,
            record,
            replay,
        })
    }

    /// Writes what was translated lately to the files that want it.
    fn write_units(&mut self) -> Result<(), Failure> {
        if self.listing.is_none() && self.perf_map.is_none() {
            return Ok(());
        }
        let Watched { listing, map } = self.machine.watched();
        for (file, text) in [(&mut self.listing, listing), (&mut self.perf_map, map)] {
            if let Some((path, file)) = file {
                file.write_all(text.as_bytes())
                    .map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
            }
        }
        Ok(())
    }

    fn run(&mut self) -> Result<u8, Failure> {
        let timeout = self.args.timeout.map(Duration::from_secs_f64);
        if let Some(recording) = self.replay.take() {
            return match self.repeat(&recording, timeout)? {
                None if !self.args.steps.is_empty() => self.follow(timeout),
                code => Ok(code.unwrap_or(0)),
            };
        }
        self.follow(timeout)
    }

    /// Runs on until the end. Gives the exit code.
    fn follow(&mut self, timeout: Option<Duration>) -> Result<u8, Failure> {
        loop {
            let turn = self.desk.turn(&mut self.machine, SLICE);
            self.move_output()?;
            self.write_units()?;
            match turn {
                Turn::Ran | Turn::Stood => {}
                Turn::Quit => return Ok(0),
                Turn::Ended(Outcome::Exit(status)) => return Ok(status as u8),
                Turn::Ended(Outcome::TripleFault) => return Err(Failure::Failed("triple fault".into())),
                Turn::Ended(Outcome::Stuck) => {
                    let at = self.machine.cpu.rip;
                    return Err(Failure::Failed(format!("the processor halted for ever at EIP {at:08X}h")));
                }
                Turn::Ended(_) => return Ok(0),
            }
            if self.move_input()? == terminal::Wish::Leave || self.interrupted.load(Ordering::Relaxed) {
                self.desk.end(End::Host);
                return Ok(0);
            }
            match self.script.advance(&mut self.machine).map_err(|e| Failure::Failed(e.to_string()))? {
                ScriptState::Waiting => {}
                ScriptState::Quit => return Ok(0),
                // Without steps the guest decides when the run ends.
                ScriptState::Done if self.args.steps.is_empty() => {}
                ScriptState::Done => return Ok(0),
            }
            if timeout.is_some_and(|t| self.started.elapsed() >= t) {
                if let Some((number, step)) = self.script.current() {
                    eprintln!("idem86: the time was up during step {number} ({step})");
                }
                return Ok(EXIT_TIMEOUT);
            }
        }
    }

    /// Repeats a recording. Gives an exit code if the run is to end before it does.
    fn repeat(&mut self, recording: &Recording, timeout: Option<Duration>) -> Result<Option<u8>, Failure> {
        let Session { machine, script, serial, debugcon, interrupted, started, .. } = self;
        let is_late = || timeout.is_some_and(|t| started.elapsed() >= t);
        let mut moved = Ok(());
        let medium = |name: &str| Ok(Disk::from(ImageOptions { snapshot: true, ..ImageOptions::new(name) }));
        let replayed = machine.replay_while(recording, medium, |machine| {
            moved = drain(machine, script, serial, debugcon);
            moved.is_ok() && !interrupted.load(Ordering::Relaxed) && !is_late()
        });
        let late = is_late();
        moved?;
        match replayed {
            Ok(()) => {}
            Err(ReplayError::Interrupted) => return Ok(Some(if late { EXIT_TIMEOUT } else { 0 })),
            Err(error) => return Err(Failure::Failed(format!("--replay: {error}"))),
        }
        self.move_output()?;
        let hash = self.machine.state_hash();
        eprintln!("idem86: {} inputs were repeated; state {hash}", recording.len());
        Ok(None)
    }

    /// Writes the recording, if one is made.
    fn write_recording(&mut self) -> Result<(), Failure> {
        let Some((path, mut file)) = self.record.take() else { return Ok(()) };
        let failed = |e: &dyn Display| Failure::Failed(format!("{}: {e}", path.display()));
        let recording = self.machine.recorded().map_err(|e| failed(&e))?;
        file.write_all(&recording.to_bytes()).map_err(|e| failed(&e))?;
        let hash = self.machine.state_hash();
        eprintln!("idem86: {} inputs were recorded; state {hash}", recording.len());
        Ok(())
    }

    /// Takes what the guest printed to where it belongs.
    fn move_output(&mut self) -> Result<(), Failure> {
        drain(&mut self.machine, &mut self.script, &mut self.serial, &mut self.debugcon)?;
        self.report_failures();
        if let Some(terminal) = &mut self.terminal
            && self.last_frame.elapsed() >= FRAME
        {
            self.last_frame = Instant::now();
            terminal.show(self.machine.board.vga.text_screen().as_ref())?;
        }
        Ok(())
    }

    /// Gives the guest what the user typed.
    fn move_input(&mut self) -> Result<terminal::Wish, Failure> {
        let Some(terminal) = &mut self.terminal else { return Ok(terminal::Wish::Nothing) };
        let mut inputs = Vec::new();
        let wish = terminal.poll(&mut inputs)?;
        let given = inputs.into_iter().try_for_each(|input| self.machine.input(input));
        given.map_err(|e| Failure::Failed(e.to_string()))?;
        Ok(wish)
    }

    /// Tells the user what media failed to do; gives how much that was.
    fn report_failures(&mut self) -> usize {
        let disks = self.machine.board.ide.take_reports();
        let diskettes = self.machine.board.floppy.take_failures();
        disks.iter().for_each(|report| eprintln!("idem86: {report}"));
        diskettes.iter().for_each(|failure| eprintln!("idem86: {failure}"));
        disks.len() + diskettes.len()
    }

    /// Gives the terminal back and makes sure that nothing is lost.
    fn close(&mut self) -> Result<(), Failure> {
        self.terminal = None;
        self.machine.flush();
        let lost = self.report_failures() > 0;
        for sink in self.serial.iter_mut().chain(&mut self.debugcon) {
            sink.flush()?;
        }
        if lost {
            return Err(Failure::Failed("not everything that the guest wrote is in the images".into()));
        }
        Ok(())
    }

    /// Saves the machine, if that is wanted.
    fn save(&mut self) -> Result<(), Failure> {
        let Some(directory) = &mut self.directory else { return Ok(()) };
        let failed = |e: &dyn Display| Failure::Failed(e.to_string());
        let mut snapshot = self.machine.snapshot().map_err(|e| failed(&e))?;
        let shown = std::io::stderr().is_terminal();
        let mut progress = |done: u64, total: u64| {
            if shown {
                eprint!("\ridem86: saved {} of {} MiB", done >> 20, total >> 20);
            }
        };
        let saved = directory.save(&mut snapshot, &mut progress);
        if shown {
            eprintln!();
        }
        saved.map_err(|e| failed(&e))
    }

    fn print_stats(&self) {
        let counters = self.machine.counters();
        let host = self.started.elapsed().as_secs_f64();
        let guest = self.machine.now().as_nanos() as f64 / 1e9;
        let cpu = &self.machine.cpu;
        let cs = cpu.seg[SegReg::Cs as usize];
        eprintln!("engine           {:>14}", self.machine.engine.name());
        eprintln!("ended at         {:04X}:{:08X}, linear {:08X}", cs.selector, cpu.rip, cs.base + cpu.rip);
        eprintln!("guest time       {guest:14.3} s");
        eprintln!("host time        {host:14.3} s");
        eprintln!("work             {:14} units", counters.work);
        eprintln!("speed            {:14.1} million units/s", counters.work as f64 / host / 1e6);
        eprintln!("runs             {:14}", counters.runs);
        eprintln!("resets           {:14}", counters.resets);
        eprintln!("unclaimed I/O    {:14}", counters.unclaimed);
        if let Some(counters) = self.machine.engine.counters() {
            eprint!("{counters}");
        }
    }
}

/// Takes what the guest printed to where it belongs.
fn drain(
    machine: &mut Machine,
    script: &mut Script,
    serial: &mut [Sink],
    debugcon: &mut Option<Sink>,
) -> Result<(), Failure> {
    for n in 0..4 {
        let bytes = machine.serial_output(n as u8);
        if n == 0 {
            script.serial_output(&bytes);
        }
        if let Some(sink) = serial.get_mut(n) {
            sink.write(&bytes)?;
        }
    }
    let bytes = machine.debug_output();
    debugcon.as_mut().map_or(Ok(()), |sink| sink.write(&bytes))
}

/// The recording in a file.
fn recording(path: &Path) -> Result<Recording, Failure> {
    let named = |e: &dyn Display| Failure::Usage(format!("{}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| named(&e))?;
    Recording::from_bytes(&bytes).map_err(|e| named(&e))
}

/// The machine that the arguments describe.
pub fn builder(args: &Run) -> Result<Builder, Failure> {
    let mut builder = Machine::builder().memory(args.memory).cpu(args.cpu).engine(args.engine.kind()?);
    if let Some(path) = args.bios.as_ref().filter(|path| *path != Path::new("builtin")) {
        builder = builder.firmware(path);
    }
    if let Some(path) = &args.vga_bios {
        builder = builder.vga_bios(path);
    }
    builder = builder.reboot(!args.no_reboot);
    if args.clock == ClockArg::Host && !args.repeats() {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = CivilDateTime::from_unix_seconds(since_epoch.as_secs());
        builder = builder.clock(ClockKind::Host).start_time(start);
    }
    if let Some(order) = &args.boot {
        builder = builder.boot_order(order.0.clone());
    }
    if let Some(port) = args.debug_exit {
        builder = builder.debug_exit(port);
    }
    let disk = |drive: &Drive| {
        let Drive(options) = drive;
        let snapshot = options.snapshot || args.snapshot || args.repeats();
        Disk::from(ImageOptions { snapshot, ..options.clone() })
    };
    for (letter, drive) in ('a'..).zip([&args.hda, &args.hdb, &args.hdc, &args.hdd]) {
        if let Some(drive) = drive {
            builder = builder.disk_at(letter, disk(drive));
        }
    }
    for (letter, drive) in ('A'..).zip([&args.fda, &args.fdb]) {
        if let Some(drive) = drive {
            builder = builder.floppy_in(letter, disk(drive));
        }
    }
    if let Some(drive) = &args.cdrom {
        builder = builder.cdrom(disk(drive));
    }
    if let Some(path) = &args.kernel {
        builder = builder.kernel(path);
    }
    for drive in &args.images {
        builder = builder.image(disk(drive));
    }
    if let Some(path) = &args.initrd {
        builder = builder.initrd(path);
    }
    Ok(builder.append(&args.append))
}
