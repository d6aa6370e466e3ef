//! Nanobenchmarks in QEMU TCG, for comparison: the same image, whose marks arrive through its debug console.

use super::{Lack, Runner};
use crate::compare::nano::{self, MARK_BEGIN, MARK_END, Nano};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Bochs's and QEMU's debug console.
const MARK_PORT: u16 = 0xE9;
/// Runs that count, an odd number.
const COUNTED: usize = 5;
/// The program.
const PROGRAM: &str = "qemu-system-i386";

/// QEMU, as it is found on PATH.
pub struct QemuRunner {
    nano: Option<&'static Nano>,
    limit: Duration,
}

impl QemuRunner {
    /// A run that takes longer than `limit` has failed.
    pub fn new(limit: Duration) -> Self {
        QemuRunner { nano: None, limit }
    }
}

/// Ends the process when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Runner for QemuRunner {
    fn name(&self) -> &str {
        "qemu"
    }

    fn load(&mut self, nano: &'static Nano) -> Result<(), Lack> {
        self.nano = Some(nano);
        Ok(())
    }

    /// The first run translates and does not count; of the others the median does, since a mark that is read late
    /// makes one run look longer and the next one shorter.
    fn run(&mut self, rounds: u32) -> Result<Duration, Lack> {
        let nano = self.nano.ok_or(Lack::Wrong("nothing is loaded".into()))?;
        let image = nano::image(nano, MARK_PORT, rounds.max(1)).map_err(|e| Lack::Wrong(e.to_string()))?;
        let host = |e: io::Error| Lack::Unsupported(format!("{PROGRAM}: {e}"));
        let mut file = tempfile::Builder::new().prefix("idem86-").tempfile().map_err(host)?;
        file.write_all(&image).map_err(host)?;
        let mut command = Command::new(PROGRAM);
        command.args(["-accel", "tcg", "-display", "none", "-nodefaults", "-no-reboot", "-m", "16"]);
        command.args(["-debugcon", "stdio", "-kernel"]).arg(file.path());
        if nano.halts {
            // QEMU's clock is the host's unless it counts instructions: then it need not sleep in HLT.
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut qemu = Running(command.spawn().map_err(host)?);
        let id = qemu.0.id();
        let marks = qemu.0.stdout.take().map(|pipe| watch(pipe, id)).ok_or(Lack::Wrong("no pipe".into()))?;
        let end = Instant::now() + self.limit;
        let mark = |wanted: u8| match marks.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((found, at)) if found == wanted => Ok(at),
            Ok(_) => Err(Lack::Wrong("the guest met an exception that it did not expect".into())),
            Err(RecvTimeoutError::Timeout) => Err(Lack::Timeout(self.limit)),
            Err(RecvTimeoutError::Disconnected) => Err(Lack::Unsupported(format!("{PROGRAM} ended"))),
        };
        let mut times = Vec::new();
        for _ in 0..=COUNTED {
            let begin = mark(MARK_BEGIN)?;
            times.push(mark(MARK_END)?.since(&begin));
        }
        let counted = &mut times[1..];
        counted.sort();
        Ok(counted[COUNTED / 2])
    }
}

/// A moment, and how long each thread of QEMU has waited for a processor until then, in nanoseconds.
struct Moment {
    at: Instant,
    waited: HashMap<OsString, u64>,
}

impl Moment {
    fn now(process: u32) -> Self {
        // As for our own engines, waiting does not count. Linux's `schedstat`: time run, time waited, in nanoseconds.
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let waited = threads.filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some((thread.file_name(), text.split_whitespace().nth(1)?.parse().ok()?))
        });
        Moment { at: Instant::now(), waited: waited.collect() }
    }

    /// What has passed since `before`, but for what the processor's thread has waited: the one that waited longest.
    fn since(&self, before: &Moment) -> Duration {
        let waits = self
            .waited
            .iter()
            .map(|(thread, now)| now.saturating_sub(*before.waited.get(thread).unwrap_or(now)));
        (self.at - before.at).saturating_sub(Duration::from_nanos(waits.max().unwrap_or(0)))
    }
}

/// Gives each byte of `from` with the moment at which it came.
fn watch(mut from: impl Read + Send + 'static, process: u32) -> Receiver<(u8, Moment)> {
    let (to, marks) = channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        while from.read_exact(&mut byte).is_ok() && to.send((byte[0], Moment::now(process))).is_ok() {}
    });
    marks
}
