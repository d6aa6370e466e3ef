//! One step of a script, and how it is written.

use crate::input::Input;
use crate::keyboard::parse_chord;
use idem86_devices::ps2::{KeyCode, Keystroke};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// One thing that a user does, or waits for.
#[derive(Clone, Debug)]
pub enum Step {
    /// `wait-serial REGEX`: until the first serial port has printed a match, not counting what earlier steps
    /// matched.
    WaitSerial(regex::bytes::Regex),
    /// `wait-screen REGEX`: until the text screen shows a match.
    WaitScreen(regex::Regex),
    /// `type TEXT`: on the keyboard; `\n`, `\t`, `\e`, `\\` and `\xNN` as in C.
    Type(Vec<Keystroke>),
    /// `send-serial TEXT`: to the first serial port, with the same escapes.
    SendSerial(Vec<u8>),
    /// `key CHORD`: keys pressed together, like `ctrl-alt-del`.
    Key(Vec<(KeyCode, bool)>),
    /// `sleep SECONDS` of guest time; in nanoseconds.
    Sleep(u64),
    /// `screenshot FILE.png`.
    Screenshot(PathBuf),
    /// `screen-text FILE`, or `-` for standard output.
    ScreenText(Option<PathBuf>),
    /// `save DIR`: the whole machine.
    Save(PathBuf),
    /// `quit`: ends the run.
    Quit,
}

/// Why a text is not a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// No such verb.
    #[error(
        "no such step: {0:?}; there are wait-serial, wait-screen, type, send-serial, key, sleep, screenshot, screen-text, save and quit"
    )]
    Unknown(String),
    /// The verb wants something behind it.
    #[error("{0} wants {1}")]
    Missing(&'static str, &'static str),
    /// Not a regular expression.
    #[error("not a regular expression: {0}")]
    Regex(String),
    /// No key types this.
    #[error("no key types {0:?}")]
    NoKey(char),
    /// No key has this name.
    #[error("{0:?} names no key or chord; try ctrl-alt-del, f1, enter or a")]
    NoChord(String),
    /// A backslash with something unknown behind it.
    #[error("unknown escape \\{0}; there are \\n, \\r, \\t, \\e, \\\\ and \\xNN")]
    Escape(String),
    /// Not a number of seconds.
    #[error("{0:?} is not a number of seconds")]
    Seconds(String),
}

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        let text = text.trim_start();
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let wants = |verb, what| if rest.is_empty() { Err(StepError::Missing(verb, what)) } else { Ok(rest) };
        Ok(match verb {
            "wait-serial" => {
                let regex = regex::bytes::Regex::new(wants("wait-serial", "a regular expression")?);
                Step::WaitSerial(regex.map_err(|e| StepError::Regex(e.to_string()))?)
            }
            "wait-screen" => {
                let regex = regex::RegexBuilder::new(wants("wait-screen", "a regular expression")?);
                let built = { regex }.multi_line(true).build();
                Step::WaitScreen(built.map_err(|e| StepError::Regex(e.to_string()))?)
            }
            "type" => {
                let text = unescape(wants("type", "a text")?)?;
                let stroke = |c| Keystroke::typing(c).ok_or(StepError::NoKey(c));
                Step::Type(text.chars().map(stroke).collect::<Result<_, _>>()?)
            }
            "send-serial" => Step::SendSerial(unescape(wants("send-serial", "a text")?)?.into_bytes()),
            "key" => {
                let chord = wants("key", "the name of a key")?;
                Step::Key(parse_chord(chord).ok_or_else(|| StepError::NoChord(chord.into()))?)
            }
            "sleep" => {
                let seconds = wants("sleep", "a number of seconds")?;
                match seconds.parse::<f64>() {
                    Ok(s) if (0.0..=1e9).contains(&s) => Step::Sleep((s * 1e9) as u64),
                    _ => return Err(StepError::Seconds(seconds.into())),
                }
            }
            "screenshot" => Step::Screenshot(wants("screenshot", "a file name")?.into()),
            "screen-text" => match wants("screen-text", "a file name, or - for standard output")? {
                "-" => Step::ScreenText(None),
                path => Step::ScreenText(Some(path.into())),
            },
            "save" => Step::Save(wants("save", "a directory")?.into()),
            "quit" => Step::Quit,
            _ => return Err(StepError::Unknown(verb.into())),
        })
    }
}

impl Step {
    /// What the step gives the machine.
    pub(super) fn inputs(&self) -> Vec<Input> {
        match self {
            Step::Type(strokes) => strokes.iter().map(|s| Input::Keys(s.events().collect())).collect(),
            Step::Key(events) => vec![Input::Keys(events.clone())],
            Step::SendSerial(bytes) => vec![Input::Serial { port: 0, bytes: bytes.clone() }],
            _ => Vec::new(),
        }
    }
}

fn unescape(text: &str) -> Result<String, StepError> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('e') => '\u{1B}',
            Some('\\') => '\\',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                match u8::from_str_radix(&digits, 16) {
                    Ok(code) if digits.len() == 2 && code < 0x80 => char::from(code),
                    _ => return Err(StepError::Escape(format!("x{digits}"))),
                }
            }
            other => return Err(StepError::Escape(other.map(String::from).unwrap_or_default())),
        });
    }
    Ok(out)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::WaitSerial(regex) => write!(f, "wait-serial {regex}"),
            Step::WaitScreen(regex) => write!(f, "wait-screen {regex}"),
            Step::Type(strokes) => write!(f, "type ({} keystrokes)", strokes.len()),
            Step::SendSerial(bytes) => write!(f, "send-serial {}", bytes.escape_ascii()),
            Step::Key(events) => {
                let names: Vec<&str> = events.iter().filter(|e| e.1).map(|e| e.0.name()).collect();
                write!(f, "key {}", names.join("-"))
            }
            Step::Sleep(ns) => write!(f, "sleep {}", *ns as f64 / 1e9),
            Step::Screenshot(path) => write!(f, "screenshot {}", path.display()),
            Step::ScreenText(Some(path)) => write!(f, "screen-text {}", path.display()),
            Step::ScreenText(None) => write!(f, "screen-text -"),
            Step::Save(path) => write!(f, "save {}", path.display()),
            Step::Quit => write!(f, "quit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_as_they_are_written() {
        for text in [
            "wait-serial login:",
            "key ControlLeft-AltLeft-Delete",
            "sleep 1.5",
            "screen-text -",
            "save vm",
            "quit",
        ] {
            assert_eq!(text.parse::<Step>().unwrap().to_string(), text);
        }
        let Ok(Step::SendSerial(bytes)) = r"send-serial a\n\x03\\".parse() else { panic!() };
        assert_eq!(bytes, b"a\n\x03\\");
        let Ok(Step::Type(strokes)) = "type dir\\n".parse() else { panic!() };
        assert_eq!(strokes.len(), 4);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<Step>().unwrap_err();
        assert!(matches!(error("dance"), StepError::Unknown(_)));
        assert!(matches!(error("type"), StepError::Missing("type", _)));
        assert!(matches!(error("wait-screen ("), StepError::Regex(_)));
        assert!(matches!(error("type \u{4E2D}"), StepError::NoKey(_)));
        assert!(matches!(error("key hyper-x"), StepError::NoChord(_)));
        assert!(matches!(error("sleep -1"), StepError::Seconds(_)));
        assert!(matches!(error(r"type \q"), StepError::Escape(_)));
    }
}
