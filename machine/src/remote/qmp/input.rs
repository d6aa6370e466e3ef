//! What users do: keys and mouse.

use super::commands::attempt;
use super::keys::{self, KeyName};
use super::types::{Nothing, enumeration, object, union};
use super::{Refusal, Session};
use crate::input::Input;
use crate::remote::monitor::Problem;
use idem86_devices::ps2::{KeyCode, MouseButtons};

/// Events of one request.
const EVENTS_MAX: usize = 1024;
/// Events that may wait for the guest.
const WAITING_MAX: usize = 4096;

/// The mouse as the peer left it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mouse {
    buttons: MouseButtons,
}

union! {
    /// A key: by its number in scan code set 1, or by name.
    KeyValue by "type" {
        Number "number" { "data" number: u64, }
        Named "qcode" { "data" name: KeyName, }
    }
}

impl KeyValue {
    fn code(&self) -> Result<KeyCode, Refusal> {
        match self {
            KeyValue::Named { name: KeyName(code) } => Ok(*code),
            KeyValue::Number { number } => {
                keys::numbered(*number).ok_or_else(|| Refusal::new(format!("no key has the number {number}")))
            }
        }
    }
}

/// Gives the machine `input`, unless too much waits for the guest already.
fn give(session: &Session, input: Input) -> Result<(), Refusal> {
    attempt(&session.link, move |stand| {
        let machine = &mut *stand.machine;
        if machine.keyboard.len() + machine.inputs.buttons() > WAITING_MAX {
            return Err(Problem(
                "the guest does not read its keyboard and mouse, and enough waits for it".into(),
            ));
        }
        machine.input(input).map_err(|e| Problem(e.to_string()))
    })
}

object! {
    SendKey {
        "keys" keys: Vec<KeyValue>,
        /// Keys are held until the guest has read them, however long that takes.
        "hold-time" hold_time: Option<u64>,
    }
}

/// `send-key`: presses keys together and releases them.
pub(super) fn send_key(
    session: &mut Session,
    SendKey { keys, hold_time: _ }: SendKey,
) -> Result<Nothing, Refusal> {
    let keys: Vec<KeyCode> = keys.iter().map(KeyValue::code).collect::<Result<_, _>>()?;
    let down = keys.iter().map(|key| (*key, true));
    let up = keys.iter().rev().map(|key| (*key, false));
    give(session, Input::Keys(down.chain(up).collect()))?;
    Ok(Nothing {})
}

enumeration! {
    Button {
        Left "left",
        Middle "middle",
        Right "right",
        WheelUp "wheel-up",
        WheelDown "wheel-down",
    }
}

enumeration! {
    Axis {
        X "x",
        Y "y",
    }
}

object! {
    KeyEvent {
        "key" key: KeyValue,
        "down" down: bool,
    }
}

object! {
    ButtonEvent {
        "button" button: Button,
        "down" down: bool,
    }
}

object! {
    /// By so much, from where the mouse is.
    MoveEvent {
        "axis" axis: Axis,
        "value" value: i32,
    }
}

union! {
    InputEvent by "type" {
        Key "key" { "data" event: KeyEvent, }
        Button "btn" { "data" event: ButtonEvent, }
        Move "rel" { "data" event: MoveEvent, }
    }
}

object! {
    SendEvent {
        "events" events: Vec<InputEvent>,
        /// There is one keyboard, and one mouse.
        "device" device: Option<String>,
        "head" head: Option<u64>,
    }
}

/// `input-send-event`: events as they come from a user's devices.
pub(super) fn send_event(
    session: &mut Session,
    SendEvent { events, device: _, head: _ }: SendEvent,
) -> Result<Nothing, Refusal> {
    if events.len() > EVENTS_MAX {
        return Err(Refusal::new(format!("at most {EVENTS_MAX} events at once")));
    }
    // Keys first: a request is done as a whole or not at all.
    for event in &events {
        if let InputEvent::Key { event } = event {
            event.key.code()?;
        }
    }
    let (mut right, mut down_by) = (0i32, 0i32);
    for event in events {
        match event {
            InputEvent::Key { event: KeyEvent { key, down } } => {
                give(session, Input::Keys(vec![(key.code()?, down)]))?;
            }
            // Both axes of one movement come one behind the other.
            InputEvent::Move { event: MoveEvent { axis: Axis::X, value } } => {
                right = right.saturating_add(value);
            }
            InputEvent::Move { event: MoveEvent { axis: Axis::Y, value } } => {
                down_by = down_by.saturating_add(value);
            }
            InputEvent::Button { event: ButtonEvent { button, down } } => {
                move_mouse(session, std::mem::take(&mut right), std::mem::take(&mut down_by), 0)?;
                press_button(session, button, down)?;
            }
        }
    }
    move_mouse(session, right, down_by, 0)?;
    Ok(Nothing {})
}

fn move_mouse(session: &Session, right: i32, down: i32, wheel: i32) -> Result<(), Refusal> {
    match (right, down, wheel) {
        (0, 0, 0) => Ok(()),
        _ => give(session, Input::MoveMouse { right, down, wheel }),
    }
}

fn press_button(session: &mut Session, button: Button, down: bool) -> Result<(), Refusal> {
    let buttons = &mut session.mouse.buttons;
    match button {
        Button::Left => buttons.left = down,
        Button::Middle => buttons.middle = down,
        Button::Right => buttons.right = down,
        Button::WheelUp => return if down { move_mouse(session, 0, 0, -1) } else { Ok(()) },
        Button::WheelDown => return if down { move_mouse(session, 0, 0, 1) } else { Ok(()) },
    }
    give(session, Input::Buttons(session.mouse.buttons))
}
