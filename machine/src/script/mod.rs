//! Scripts: what a user would do at the machine, step by step, in guest time.

mod step;

pub use step::{Step, StepError};

use crate::machine::Machine;
use idem86_devices::time::{GuestDuration, GuestTime};
use std::fs::File;
use std::io::Write;

/// Serial output that is kept for `wait-serial`: what came before is not looked at any longer.
const SERIAL_KEPT: usize = 1 << 20;

/// A list of steps on its way.
#[derive(Debug)]
pub struct Script {
    steps: Vec<Step>,
    next: usize,
    /// When the present step began.
    since: Option<GuestTime>,
    /// Serial output since the last match.
    serial: Vec<u8>,
}

/// How far a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptState {
    /// A step waits for something.
    Waiting,
    /// All steps are done.
    Done,
    /// A `quit` step was reached.
    Quit,
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
#[error("step {number} ({step}): {what}")]
pub struct ScriptError {
    /// Counted from 1.
    pub number: usize,
    /// The step as it was written.
    pub step: String,
    /// What went wrong.
    pub what: String,
}

impl Script {
    /// A script of `steps`.
    pub fn new(steps: Vec<Step>) -> Self {
        Script { steps, next: 0, since: None, serial: Vec::new() }
    }

    /// Whether there are steps to do.
    pub fn is_done(&self) -> bool {
        self.next == self.steps.len()
    }

    /// The step that waits, as it was written, with its number from 1.
    pub fn current(&self) -> Option<(usize, String)> {
        self.steps.get(self.next).map(|s| (self.next + 1, s.to_string()))
    }

    /// The first serial port printed this.
    pub fn serial_output(&mut self, bytes: &[u8]) {
        if self.is_done() {
            return;
        }
        self.serial.extend(bytes);
        if self.serial.len() > 2 * SERIAL_KEPT {
            self.serial.drain(..self.serial.len() - SERIAL_KEPT);
        }
    }

    /// Does the steps that can be done now. To be called every few milliseconds of guest time.
    pub fn advance(&mut self, machine: &mut Machine) -> Result<ScriptState, ScriptError> {
        while let Some(step) = self.steps.get(self.next) {
            let now = machine.now();
            let first = self.since.is_none();
            let since = *self.since.get_or_insert(now);
            let fail = |what: String| ScriptError { number: self.next + 1, step: step.to_string(), what };
            let done = match step {
                Step::WaitSerial(regex) => match regex.find(&self.serial) {
                    Some(found) => {
                        let end = found.end();
                        self.serial.drain(..end);
                        true
                    }
                    None => false,
                },
                Step::WaitScreen(regex) => {
                    machine.board.vga.text_screen().is_some_and(|s| regex.is_match(&s.to_string()))
                }
                Step::Type(_) | Step::Key(_) | Step::SendSerial(_) => {
                    if first {
                        let given = step.inputs().into_iter().try_for_each(|input| machine.input(input));
                        given.map_err(|e| fail(e.to_string()))?;
                    }
                    machine.has_taken_input()
                }
                Step::Sleep(ns) => now >= since + GuestDuration::from_nanos(*ns),
                Step::Screenshot(path) => {
                    let file = File::create(path).map_err(|e| fail(e.to_string()))?;
                    machine.write_screenshot(file).map_err(|e| fail(e.to_string()))?;
                    true
                }
                Step::ScreenText(path) => {
                    let text = match machine.board.vga.text_screen() {
                        Some(screen) => screen.to_string(),
                        None => return Err(fail("the screen shows no text".into())),
                    };
                    let written = match path {
                        Some(path) => std::fs::write(path, text),
                        None => std::io::stdout().write_all(text.as_bytes()),
                    };
                    written.map_err(|e| fail(e.to_string()))?;
                    true
                }
                Step::Save(path) => {
                    machine.save(path, &mut |_, _| {}).map_err(|e| fail(e.to_string()))?;
                    true
                }
                Step::Quit => return Ok(ScriptState::Quit),
            };
            if !done {
                return Ok(ScriptState::Waiting);
            }
            self.next += 1;
            self.since = None;
        }
        Ok(ScriptState::Done)
    }
}
