//! The suite itself: it passes a sound device and catches each flaw that it exists to catch.

use super::*;
use crate::access::IoError;
use crate::irq::IrqLine;
use crate::state::RestoreError;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    RestoreForgets,
    RestoreTrusts,
    RefusalChanges,
    EventComesLate,
    StepsDiffer,
    Panics,
    Loops,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AlarmState {
    cells: Vec<u8>,
    chosen: u8,
    due: Option<GuestTime>,
    advanced: u64,
}

/// Four cells and an alarm that raises its line.
struct Alarm {
    line: IrqLine,
    flaw: Flaw,
    state: AlarmState,
}

impl PortIo for Alarm {
    fn read_port(&mut self, _: u16, _: AccessSize, _: GuestTime) -> Result<u32, IoError> {
        Ok(u32::from(self.state.cells[usize::from(self.state.chosen)]))
    }
    fn write_port(&mut self, _: u16, size: AccessSize, value: u32, _: GuestTime) -> Result<(), IoError> {
        size.only_byte()?;
        assert!(self.flaw != Flaw::Panics || value != 0xFF, "the flaw");
        if self.flaw == Flaw::Loops && value == 0xFF {
            let begin = processor_time();
            while processor_time() <= begin.map(|begin| begin + LONGEST_CALL) {}
        }
        self.state.chosen = value as u8 & 3;
        Ok(())
    }
}

impl Mmio for Alarm {
    fn read_memory(&mut self, _: u64, _: AccessSize, _: GuestTime) -> Result<u32, IoError> {
        Err(IoError::NoSuchRegister)
    }
    fn write_memory(&mut self, at: u64, _: AccessSize, value: u32, now: GuestTime) -> Result<(), IoError> {
        let cell = usize::try_from(at).ok().and_then(|at| self.state.cells.get_mut(at));
        *cell.ok_or(IoError::NoSuchRegister)? = value as u8;
        self.line.set(false);
        self.state.due = Some(now + GuestDuration::from_nanos(1_000_000));
        Ok(())
    }
}

impl Timed for Alarm {
    fn next_event(&self) -> Option<GuestTime> {
        let late = if self.flaw == Flaw::EventComesLate { 500 } else { 0 };
        self.state.due.map(|due| due + GuestDuration::from_nanos(late))
    }
    fn advance(&mut self, now: GuestTime) {
        if self.flaw == Flaw::StepsDiffer {
            self.state.advanced += 1;
        }
        if self.state.due.is_some_and(|due| due <= now) {
            self.state.due = None;
            self.line.set(true);
        }
    }
}

impl Reset for Alarm {
    fn reset(&mut self) {
        self.state.chosen = 0;
    }
}

impl Snapshot for Alarm {
    type State = AlarmState;
    fn save(&self) -> AlarmState {
        self.state.clone()
    }
    fn restore(&mut self, mut state: AlarmState) -> Result<(), RestoreError> {
        if self.flaw == Flaw::RestoreForgets {
            state.due = None;
        }
        if self.flaw == Flaw::RefusalChanges {
            self.state.advanced = 9;
        }
        if (state.cells.len() != 4 || state.chosen > 3) && self.flaw != Flaw::RestoreTrusts {
            return Err(RestoreError::new("alarm", "no such cell"));
        }
        self.state = state;
        Ok(())
    }
}

fn subject(flaw: Flaw) -> Subject<Alarm> {
    Subject::new(move |bank| Alarm {
        line: bank.line(1),
        flaw,
        state: AlarmState { cells: vec![0; 4], chosen: 0, due: None, advanced: 0 },
    })
    .ports(1)
    .memory(4)
    .timed()
}

suite!(subject(Flaw::None));

#[test]
#[should_panic(expected = "assertion `left == right` failed: seed")]
fn a_field_lost_in_restore_is_caught() {
    subject(Flaw::RestoreForgets).restores_exactly_what_it_saved();
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn an_unvalidated_state_is_caught() {
    subject(Flaw::RestoreTrusts).survives_hostile_states();
}

#[test]
#[should_panic(expected = "a refused restore changed the device")]
fn a_refusal_that_changes_the_device_is_caught() {
    subject(Flaw::RefusalChanges).survives_hostile_states();
}

#[test]
#[should_panic(expected = "early change")]
fn a_late_event_is_caught() {
    subject(Flaw::EventComesLate).changes_its_lines_only_at_its_events();
}

#[test]
#[should_panic(expected = "assertion `left == right` failed: seed")]
fn steps_that_leave_traces_are_caught() {
    subject(Flaw::StepsDiffer).arrives_by_steps_where_a_jump_leads();
}

#[test]
#[should_panic(expected = "the flaw")]
fn a_panic_on_a_guest_value_is_caught() {
    subject(Flaw::Panics).restores_exactly_what_it_saved();
}

#[cfg(target_os = "linux")]
#[test]
#[should_panic(expected = "one call took")]
fn a_call_that_works_for_long_is_caught() {
    subject(Flaw::Loops).restores_exactly_what_it_saved();
}

#[cfg(target_os = "linux")]
#[test]
fn a_call_that_the_host_puts_off_is_not() {
    let subject = subject(Flaw::None);
    let rig = subject.rig();
    std::thread::sleep(LONGEST_CALL);
    assert!(rig.waited());
}
