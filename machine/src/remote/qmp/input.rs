//! What users do: keys and mouse.

use super::commands::{arguments, attempt};
use super::{Refusal, Session, keys};
use crate::input::Input;
use crate::remote::monitor::Problem;
use idem86_devices::ps2::{KeyCode, MouseButtons};
use serde::Deserialize;
use serde_json::{Value, json};

/// Events of one request.
const EVENTS_MAX: usize = 1024;
/// Events that may wait for the guest.
const WAITING_MAX: usize = 4096;

/// The mouse as the peer left it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mouse {
    buttons: MouseButtons,
}

/// A key: by name, or by its number in scan code set 1.
#[derive(Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
enum Key {
    Qcode(String),
    Number(u64),
}

impl Key {
    fn code(&self) -> Result<KeyCode, Refusal> {
        match self {
            Key::Qcode(name) => {
                keys::named(name).ok_or_else(|| Refusal::new(format!("no key is called {name:?}")))
            }
            Key::Number(number) => {
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

/// `send-key`: presses keys together and releases them.
pub(super) fn send_key(session: &mut Session, value: Value) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        keys: Vec<Key>,
        /// Keys are held until the guest has read them, however long that takes.
        #[serde(rename = "hold-time")]
        _hold_time: Option<u64>,
    }
    let Arguments { keys, .. } = arguments(value)?;
    let keys: Vec<KeyCode> = keys.iter().map(Key::code).collect::<Result<_, _>>()?;
    let down = keys.iter().map(|key| (*key, true));
    let up = keys.iter().rev().map(|key| (*key, false));
    give(session, Input::Keys(down.chain(up).collect()))?;
    Ok(json!({}))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Button {
    Left,
    Middle,
    Right,
    WheelUp,
    WheelDown,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Axis {
    X,
    Y,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
enum Event {
    Key { key: Key, down: bool },
    Btn { button: Button, down: bool },
    Rel { axis: Axis, value: i32 },
}

/// `input-send-event`: events as they come from a user's devices.
pub(super) fn send_event(session: &mut Session, value: Value) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        events: Vec<Event>,
        #[serde(rename = "device")]
        _device: Option<String>,
        #[serde(rename = "head")]
        _head: Option<u64>,
    }
    let Arguments { events, .. } = arguments(value)?;
    if events.len() > EVENTS_MAX {
        return Err(Refusal::new(format!("at most {EVENTS_MAX} events at once")));
    }
    // Names first: a request is done as a whole or not at all.
    for event in &events {
        if let Event::Key { key, .. } = event {
            key.code()?;
        }
    }
    let (mut right, mut down_by) = (0i32, 0i32);
    for event in events {
        match event {
            Event::Key { key, down } => give(session, Input::Keys(vec![(key.code()?, down)]))?,
            // Both axes of one movement come one behind the other.
            Event::Rel { axis: Axis::X, value } => right = right.saturating_add(value),
            Event::Rel { axis: Axis::Y, value } => down_by = down_by.saturating_add(value),
            Event::Btn { button, down } => {
                move_mouse(session, std::mem::take(&mut right), std::mem::take(&mut down_by), 0)?;
                press_button(session, button, down)?;
            }
        }
    }
    move_mouse(session, right, down_by, 0)?;
    Ok(json!({}))
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
