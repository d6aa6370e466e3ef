//! The machine as the debugger's protocol sees it. Everything is asked for at the machine's desk.

use super::description::target_xml;
use crate::registers::{EIP, REGISTERS};
use crate::remote::memory::{self, Space};
use crate::remote::monitor;
use crate::remote::{Cause, Gone, Link, Notice};
use crossbeam_channel::Receiver;
use gdbstub::arch::{Arch, RegId, Registers};
use gdbstub::common::Signal;
use gdbstub::stub::SingleThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint,
    SwBreakpointOps, WatchKind as GdbWatchKind,
};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use idem86_cpu::stops::{Watch, WatchKind};
use std::num::NonZeroUsize;

/// Errno of Linux, as the debugger prints them: no such process, bad address, invalid argument.
const ESRCH: u8 = 3;
const EFAULT: u8 = 14;
const EINVAL: u8 = 22;

/// Stops and watches that a debugger may set.
const POINTS_MAX: usize = 4096;

/// Our processors.
#[derive(Debug)]
pub(super) enum X86 {}

impl Arch for X86 {
    type Usize = u32;
    type Registers = RegisterBytes;
    type BreakpointKind = usize;
    type RegId = RegisterNumber;
}

/// All registers as the protocol has them, one behind the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RegisterBytes(Vec<u8>);

impl Registers for RegisterBytes {
    type ProgramCounter = u32;

    fn pc(&self) -> u32 {
        let at: usize = REGISTERS[..EIP].iter().map(|r| r.bytes()).sum();
        self.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.0.iter().for_each(|byte| write_byte(Some(*byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let len: usize = REGISTERS.iter().map(|r| r.bytes()).sum();
        self.0 = bytes.to_vec();
        if bytes.len() == len { Ok(()) } else { Err(()) }
    }
}

/// A register by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegisterNumber(usize);

impl RegId for RegisterNumber {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let bytes = REGISTERS.get(id)?.bytes();
        Some((RegisterNumber(id), NonZeroUsize::new(bytes)))
    }

    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

/// The machine of a session.
pub(super) struct Debuggee {
    link: Link,
    /// What happens to the machine.
    pub(super) notices: Receiver<Notice>,
    /// Code size when the session began.
    code_size: u32,
    stops: Vec<u32>,
    watches: Vec<Watch>,
}

impl Debuggee {
    /// Attaches: the machine stands still from now on.
    pub(super) fn attach(link: Link) -> Result<Self, Gone> {
        let (notices, code_size) = link.ask(|stand| {
            stand.running.stop();
            (stand.running.listen(), stand.machine.cpu.code_size())
        })?;
        Ok(Debuggee { link, notices, code_size, stops: Vec::new(), watches: Vec::new() })
    }

    /// Takes all stops and watches back, and lets the machine run on.
    pub(super) fn detach(self) {
        let Debuggee { link, stops, watches, .. } = self;
        // If nobody is there, nothing is to be taken back.
        let _ = link.ask(move |stand| {
            stops.into_iter().for_each(|at| _ = stand.machine.cpu.remove_execution_stop(at));
            watches.into_iter().for_each(|watch| _ = stand.machine.cpu.remove_watch(watch));
            stand.running.resume();
        });
    }

    /// Ends the run, as `kill` wants it.
    pub(super) fn kill(&self) {
        let _ = self.link.ask(|stand| stand.running.quit());
    }

    /// Asks the machine to stand still. It tells when it does.
    pub(super) fn interrupt(&self) -> Result<(), Gone> {
        self.link.ask(|stand| stand.running.stop())
    }

    /// What the debugger is to be told of a stop.
    pub(super) fn reason(&self, cause: Cause) -> SingleThreadStopReason<u32> {
        match cause {
            Cause::Asked => SingleThreadStopReason::Signal(Signal::SIGINT),
            Cause::Stepped => SingleThreadStopReason::DoneStep,
            Cause::Breakpoint => SingleThreadStopReason::SwBreak(()),
            Cause::Watchpoint { linear, write } => {
                let meets = |watch: &&Watch| {
                    let kind = if write { WatchKind::Write } else { WatchKind::Read };
                    (watch.start..=watch.last).contains(&linear)
                        && (watch.kind == kind || watch.kind == WatchKind::Access)
                };
                match self.watches.iter().find(meets) {
                    Some(watch) => {
                        let kind = match watch.kind {
                            WatchKind::Read => GdbWatchKind::Read,
                            WatchKind::Write => GdbWatchKind::Write,
                            WatchKind::Access => GdbWatchKind::ReadWrite,
                        };
                        SingleThreadStopReason::Watch { tid: (), kind, addr: linear }
                    }
                    // Somebody else's.
                    None => SingleThreadStopReason::Signal(Signal::SIGTRAP),
                }
            }
        }
    }

    fn add_stop(&mut self, at: u32) -> TargetResult<bool, Self> {
        if self.stops.len() + self.watches.len() >= POINTS_MAX {
            return Ok(false);
        }
        self.link.ask(move |stand| stand.machine.cpu.add_execution_stop(at)).map_err(gone)?;
        self.stops.push(at);
        Ok(true)
    }

    fn remove_stop(&mut self, at: u32) -> TargetResult<bool, Self> {
        let Some(n) = self.stops.iter().position(|stop| *stop == at) else { return Ok(false) };
        self.stops.remove(n);
        self.link.ask(move |stand| stand.machine.cpu.remove_execution_stop(at)).map_err(gone)
    }
}

/// Drops what happened while the debugger took the machine for stopped: it would be taken for what happens next.
fn forget(notices: &Receiver<Notice>) {
    while notices.try_recv().is_ok() {}
}

fn gone(Gone: Gone) -> TargetError<Gone> {
    TargetError::Errno(ESRCH)
}

fn watch(start: u32, len: u32, kind: GdbWatchKind) -> Option<Watch> {
    let last = start.checked_add(len.max(1) - 1)?;
    let kind = match kind {
        GdbWatchKind::Read => WatchKind::Read,
        GdbWatchKind::Write => WatchKind::Write,
        GdbWatchKind::ReadWrite => WatchKind::Access,
    };
    Some(Watch { start, last, kind })
}

impl Target for Debuggee {
    type Arch = X86;
    type Error = Gone;

    fn base_ops(&mut self) -> BaseOps<'_, X86, Gone> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }
}

impl TargetDescriptionXmlOverride for Debuggee {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::Errno(EINVAL));
        }
        let xml = target_xml(self.code_size);
        let rest =
            usize::try_from(offset).ok().and_then(|offset| xml.as_bytes().get(offset..)).unwrap_or_default();
        let len = rest.len().min(length).min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

impl SingleThreadBase for Debuggee {
    fn read_registers(&mut self, registers: &mut RegisterBytes) -> TargetResult<(), Self> {
        let state = self.link.ask(|stand| stand.machine.cpu.save()).map_err(gone)?;
        registers.0 = REGISTERS.iter().flat_map(|r| r.read(&state).into_iter().take(r.bytes())).collect();
        Ok(())
    }

    fn write_registers(&mut self, registers: &RegisterBytes) -> TargetResult<(), Self> {
        let bytes = registers.0.clone();
        self.change_registers(move |state| {
            let mut at = 0;
            REGISTERS.iter().all(|r| {
                let value = &bytes[at..at + r.bytes()];
                at += r.bytes();
                // What cannot be written may be there as long as it is not changed.
                r.read(state)[..r.bytes()] == *value || r.write(state, value)
            })
        })
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, (), Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u32, data: &mut [u8]) -> TargetResult<usize, Self> {
        let len = data.len();
        let bytes = self.link.ask(move |stand| {
            let mut bytes = vec![0; len];
            let read = memory::read(stand.machine, Space::Linear, start.into(), &mut bytes);
            bytes.truncate(read);
            bytes
        });
        let bytes = bytes.map_err(gone)?;
        data[..bytes.len()].copy_from_slice(&bytes);
        if bytes.is_empty() && len > 0 { Err(TargetError::Errno(EFAULT)) } else { Ok(bytes.len()) }
    }

    fn write_addrs(&mut self, start: u32, data: &[u8]) -> TargetResult<(), Self> {
        let data = data.to_vec();
        let written =
            self.link.ask(move |stand| memory::write(stand.machine, Space::Linear, start.into(), &data));
        if written.map_err(gone)? { Ok(()) } else { Err(TargetError::Errno(EFAULT)) }
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl Debuggee {
    /// Changes the processor's state, if that gives a possible one. What was reported of a stop at CS:EIP stays so.
    fn change_registers(
        &mut self,
        change: impl FnOnce(&mut idem86_cpu::state::save::CpuState) -> bool + Send + 'static,
    ) -> TargetResult<(), Self> {
        let changed = self.link.ask(|stand| {
            let mut state = stand.machine.cpu.save();
            let rip = state.rip;
            let possible = change(&mut state);
            let stays = state.rip == rip;
            let done = possible && stand.machine.set_processor(state).is_ok();
            if done && stays {
                stand.machine.cpu.pass_stop();
            }
            done
        });
        if changed.map_err(gone)? { Ok(()) } else { Err(TargetError::Errno(EINVAL)) }
    }
}

impl SingleRegisterAccess<()> for Debuggee {
    fn read_register(&mut self, (): (), id: RegisterNumber, buffer: &mut [u8]) -> TargetResult<usize, Self> {
        let state = self.link.ask(|stand| stand.machine.cpu.save()).map_err(gone)?;
        let register = &REGISTERS[id.0];
        let len = register.bytes().min(buffer.len());
        buffer[..len].copy_from_slice(&register.read(&state)[..len]);
        Ok(len)
    }

    fn write_register(&mut self, (): (), id: RegisterNumber, value: &[u8]) -> TargetResult<(), Self> {
        let value = value.to_vec();
        self.change_registers(move |state| REGISTERS[id.0].write(state, &value))
    }
}

impl SingleThreadResume for Debuggee {
    /// Signals mean nothing to a machine.
    fn resume(&mut self, _: Option<Signal>) -> Result<(), Gone> {
        let notices = self.notices.clone();
        self.link.ask(move |stand| {
            forget(&notices);
            stand.running.resume();
        })
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Debuggee {
    fn step(&mut self, _: Option<Signal>) -> Result<(), Gone> {
        let notices = self.notices.clone();
        self.link.ask(move |stand| {
            forget(&notices);
            stand.step();
        })
    }
}

impl Breakpoints for Debuggee {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Debuggee {
    fn add_sw_breakpoint(&mut self, at: u32, _: usize) -> TargetResult<bool, Self> {
        self.add_stop(at)
    }

    fn remove_sw_breakpoint(&mut self, at: u32, _: usize) -> TargetResult<bool, Self> {
        self.remove_stop(at)
    }
}

impl HwBreakpoint for Debuggee {
    fn add_hw_breakpoint(&mut self, at: u32, _: usize) -> TargetResult<bool, Self> {
        self.add_stop(at)
    }

    fn remove_hw_breakpoint(&mut self, at: u32, _: usize) -> TargetResult<bool, Self> {
        self.remove_stop(at)
    }
}

impl HwWatchpoint for Debuggee {
    fn add_hw_watchpoint(&mut self, start: u32, len: u32, kind: GdbWatchKind) -> TargetResult<bool, Self> {
        let Some(watch) = watch(start, len, kind) else { return Ok(false) };
        if self.stops.len() + self.watches.len() >= POINTS_MAX {
            return Ok(false);
        }
        self.link.ask(move |stand| stand.machine.cpu.add_watch(watch)).map_err(gone)?;
        self.watches.push(watch);
        Ok(true)
    }

    fn remove_hw_watchpoint(&mut self, start: u32, len: u32, kind: GdbWatchKind) -> TargetResult<bool, Self> {
        let found =
            watch(start, len, kind).and_then(|w| Some((w, self.watches.iter().position(|o| *o == w)?)));
        let Some((watch, n)) = found else { return Ok(false) };
        self.watches.remove(n);
        self.link.ask(move |stand| stand.machine.cpu.remove_watch(watch)).map_err(gone)
    }
}

impl MonitorCmd for Debuggee {
    fn handle_monitor_cmd(&mut self, command: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Gone> {
        let command = String::from_utf8_lossy(command).into_owned();
        let answer = self.link.ask(move |stand| monitor::execute(stand, &command))?;
        let text = match &answer {
            Ok(text) => text,
            Err(problem) => &format!("{problem}\n"),
        };
        out.write_raw(text.as_bytes());
        Ok(())
    }
}
