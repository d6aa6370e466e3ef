//! The user at the keyboard: key events waiting until the guest can take them.

use crate::input::queue::OFFER_EVERY;
use idem86_devices::ps2::{KeyCode, Keystroke, Ps2Controller};
use idem86_devices::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How long the guest gets to react to one keystroke before the next, once it has read the first.
const BETWEEN_STROKES: GuestDuration = GuestDuration::from_millis(10);

/// Key events in order. A new keystroke is offered only when the guest has read everything before, so that no
/// guest, however slow, loses one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyQueue {
    events: VecDeque<Event>,
    /// When the next keystroke may begin.
    ready: GuestTime,
    /// When the guest is next offered what it did not take: at times that do not depend on how the machine is run.
    offer: GuestTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    key: KeyCode,
    pressed: bool,
    /// First event of a keystroke.
    first: bool,
}

impl KeyQueue {
    /// Types a keystroke after everything that waits.
    pub fn stroke(&mut self, stroke: Keystroke) {
        self.chord(stroke.events());
    }

    /// Presses and releases keys in the order of `events`.
    pub fn chord(&mut self, events: impl IntoIterator<Item = (KeyCode, bool)>) {
        let mut first = true;
        for (key, pressed) in events {
            self.events.push_back(Event { key, pressed, first });
            first = false;
        }
    }

    /// Key events that wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether everything was given to the guest.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// When something is to be offered again.
    pub fn next_event(&self) -> Option<GuestTime> {
        (!self.events.is_empty()).then_some(self.offer)
    }

    /// Gives the controller what it takes now.
    pub fn feed(&mut self, ps2: &mut Ps2Controller, now: GuestTime) {
        if now < self.offer {
            return;
        }
        while let Some(event) = self.events.front().copied() {
            let waits = event.first && (now < self.ready || !ps2.keyboard_idle());
            if waits || !ps2.key(event.key, event.pressed, now) {
                self.offer = now + OFFER_EVERY;
                return;
            }
            self.events.pop_front();
            self.ready = now + BETWEEN_STROKES;
        }
    }
}

/// The keys of a chord like `ctrl-alt-del`: pressed in order, released in reverse. `None` if a name is unknown.
pub fn parse_chord(text: &str) -> Option<Vec<(KeyCode, bool)>> {
    let keys: Vec<KeyCode> = text.split('-').map(named_key).collect::<Option<_>>()?;
    let down = keys.iter().map(|k| (*k, true));
    let up = keys.iter().rev().map(|k| (*k, false));
    Some(down.chain(up).collect())
}

/// A key by the names that people use for it, or by the name of its place.
fn named_key(name: &str) -> Option<KeyCode> {
    let lower = name.to_ascii_lowercase();
    let key = match lower.as_str() {
        "ctrl" | "control" => KeyCode::ControlLeft,
        "alt" => KeyCode::AltLeft,
        "altgr" => KeyCode::AltRight,
        "shift" => KeyCode::ShiftLeft,
        "del" => KeyCode::Delete,
        "ins" => KeyCode::Insert,
        "esc" => KeyCode::Escape,
        "ret" | "return" => KeyCode::Enter,
        "up" => KeyCode::ArrowUp,
        "down" => KeyCode::ArrowDown,
        "left" => KeyCode::ArrowLeft,
        "right" => KeyCode::ArrowRight,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        _ => {
            let mut chars = name.chars();
            let single = chars.next().filter(|_| chars.next().is_none()).and_then(Keystroke::typing);
            return match single {
                Some(stroke) if !stroke.shift && !stroke.control => Some(stroke.key),
                _ => KeyCode::from_name(name),
            };
        }
    };
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_by_name() {
        let keys = parse_chord("ctrl-alt-del").unwrap();
        assert_eq!(keys[..3], [KeyCode::ControlLeft, KeyCode::AltLeft, KeyCode::Delete].map(|k| (k, true)));
        assert_eq!(keys[5], (KeyCode::ControlLeft, false));
        assert_eq!(parse_chord("F1").unwrap()[0].0, KeyCode::F1);
        assert_eq!(parse_chord("a").unwrap()[0].0, KeyCode::KeyA);
        assert!(parse_chord("ctrl-nonsense").is_none() && parse_chord("").is_none());
    }
}
