//! The terminal: the guest's text screen in colours, its keyboard, or its serial port.
//!
//! Ctrl-] leaves in both. The terminal is put back as it was however the program ends, by a panic too.

use super::Failure;
use crossterm::cursor::{Hide, MoveTo, SetCursorStyle, Show};
use crossterm::event::{self, Event, KeyCode as HostKey, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Color, Print, SetBackgroundColor, SetForegroundColor};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use idem86::Input;
use idem86::devices::ps2::{KeyCode, Keystroke};
use idem86::devices::vga::{TextCell, TextScreen, cp437_to_char};
use std::io::{self, IsTerminal, Read, Write};
use std::sync::Once;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// The key that leaves: Ctrl-], as in telnet.
const LEAVE: u8 = 0x1D;

/// What the user wants of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To go on.
    Nothing,
    /// To leave.
    Leave,
}

/// The terminal in use.
pub struct Terminal {
    kind: Kind,
    raw: bool,
}

enum Kind {
    Text(TextView),
    Serial(Receiver<u8>),
}

/// The text screen as it was last drawn.
#[derive(Default)]
struct TextView {
    drawn: Vec<TextCell>,
    columns: usize,
    cursor: Option<(usize, usize)>,
    graphics: bool,
}

/// Colours of the VGA's first 16 attributes, in the order of their numbers.
const COLORS: [Color; 16] = [
    Color::Black,
    Color::DarkBlue,
    Color::DarkGreen,
    Color::DarkCyan,
    Color::DarkRed,
    Color::DarkMagenta,
    Color::DarkYellow,
    Color::Grey,
    Color::DarkGrey,
    Color::Blue,
    Color::Green,
    Color::Cyan,
    Color::Red,
    Color::Magenta,
    Color::Yellow,
    Color::White,
];

impl Terminal {
    /// Shows the guest's text screen and reads its keyboard.
    pub fn text() -> Result<Terminal, Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::Usage("--display text needs a terminal".into()));
        }
        restore_on_panic();
        terminal::enable_raw_mode().map_err(failure)?;
        let terminal = Terminal { kind: Kind::Text(TextView::default()), raw: true };
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All)).map_err(failure)?;
        Ok(terminal)
    }

    /// Reads standard input for a serial port. A terminal is put into raw mode, so that the guest sees every key.
    pub fn serial() -> Result<Terminal, Failure> {
        let raw = io::stdin().is_terminal();
        if raw {
            restore_on_panic();
            terminal::enable_raw_mode().map_err(failure)?;
        }
        let (sender, receiver) = channel();
        // The thread ends with standard input or, blocked in a read, with the process.
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(n @ 1..) = io::stdin().read(&mut buffer) {
                if buffer[..n].iter().any(|b| sender.send(*b).is_err()) {
                    return;
                }
            }
        });
        Ok(Terminal { kind: Kind::Serial(receiver), raw })
    }

    /// Draws the text screen, if that is what the terminal shows; `None` is a graphics mode.
    pub fn show(&mut self, screen: Option<&TextScreen>) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Text(view) => view.draw(screen).map_err(failure),
            Kind::Serial(_) => Ok(()),
        }
    }

    /// Takes what the user typed: keys, or characters for COM1.
    pub fn poll(&mut self, inputs: &mut Vec<Input>) -> Result<Wish, Failure> {
        match &mut self.kind {
            Kind::Text(view) => {
                while event::poll(Duration::ZERO).map_err(failure)? {
                    match event::read().map_err(failure)? {
                        Event::Key(key) if key.kind != KeyEventKind::Release => {
                            if is_leave(&key) {
                                return Ok(Wish::Leave);
                            }
                            inputs.push(Input::Keys(key_events(&key)));
                        }
                        Event::Resize(..) => *view = TextView::default(),
                        _ => {}
                    }
                }
            }
            Kind::Serial(receiver) => {
                let mut bytes = Vec::new();
                loop {
                    match receiver.try_recv() {
                        Ok(LEAVE) if self.raw => return Ok(Wish::Leave),
                        Ok(byte) => bytes.push(byte),
                        Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                    }
                }
                if !bytes.is_empty() {
                    inputs.push(Input::Serial { port: 0, bytes });
                }
            }
        }
        Ok(Wish::Nothing)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Text(_)) {
            let _ = execute!(
                io::stdout(),
                SetCursorStyle::DefaultUserShape,
                Show,
                crossterm::style::ResetColor,
                LeaveAlternateScreen
            );
        }
        if self.raw {
            let _ = terminal::disable_raw_mode();
        }
    }
}

/// Makes a panic give the terminal back before it prints its message.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
            let _ = terminal::disable_raw_mode();
            before(info);
        }));
    });
}

fn failure(error: io::Error) -> Failure {
    Failure::Failed(format!("terminal: {error}"))
}

impl TextView {
    fn draw(&mut self, screen: Option<&TextScreen>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let Some(screen) = screen else {
            if !self.graphics {
                *self = TextView { graphics: true, ..TextView::default() };
                let text = "The guest shows graphics; a screenshot step can save them. Ctrl-] leaves.";
                queue!(
                    out,
                    crossterm::style::ResetColor,
                    Clear(ClearType::All),
                    MoveTo(0, 0),
                    Hide,
                    Print(text)
                )?;
                out.flush()?;
            }
            return Ok(());
        };
        let cells = screen.cells();
        let new = self.columns != screen.columns() || self.drawn.len() != cells.len();
        if !new && self.cursor == screen.cursor() && self.drawn == cells {
            return Ok(());
        }
        queue!(out, BeginSynchronizedUpdate, Hide)?;
        if new {
            *self = TextView { columns: screen.columns(), ..TextView::default() };
            queue!(out, crossterm::style::ResetColor, Clear(ClearType::All))?;
        }
        let mut colors = None;
        // Where the terminal's own cursor stands after the last character.
        let mut at = None;
        for (n, cell) in cells.iter().enumerate() {
            if !new && self.drawn[n] == *cell {
                continue;
            }
            if at != Some(n) {
                queue!(out, MoveTo((n % self.columns) as u16, (n / self.columns) as u16))?;
            }
            let wanted = (cell.attribute & 15, cell.attribute >> 4 & 7);
            if colors != Some(wanted) {
                colors = Some(wanted);
                let (front, back) = (COLORS[usize::from(wanted.0)], COLORS[usize::from(wanted.1)]);
                queue!(out, SetForegroundColor(front), SetBackgroundColor(back))?;
            }
            queue!(out, Print(printable(cell.character)))?;
            let next = n + 1;
            at = (!next.is_multiple_of(self.columns)).then_some(next);
        }
        self.drawn.clear();
        self.drawn.extend_from_slice(cells);
        self.cursor = screen.cursor();
        if let Some((column, row)) = self.cursor {
            queue!(out, MoveTo(column as u16, row as u16), Show)?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }
}

fn printable(character: u8) -> char {
    match character {
        0 | 255 => ' ',
        _ => cp437_to_char(character),
    }
}

fn is_leave(key: &KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    // Some terminals report the control code as Ctrl-5, which is another name for it.
    control && matches!(key.code, HostKey::Char(']' | '5'))
}

/// The guest's keys for a key of the host's terminal.
fn key_events(key: &KeyEvent) -> Vec<(KeyCode, bool)> {
    let place = match key.code {
        HostKey::Char(c) => match Keystroke::typing(c) {
            Some(stroke) => return with_modifiers(stroke.key, stroke.shift, key.modifiers),
            None => return Vec::new(),
        },
        HostKey::Enter => KeyCode::Enter,
        HostKey::Backspace => KeyCode::Backspace,
        HostKey::Tab => KeyCode::Tab,
        HostKey::BackTab => return with_modifiers(KeyCode::Tab, true, key.modifiers),
        HostKey::Esc => KeyCode::Escape,
        HostKey::Left => KeyCode::ArrowLeft,
        HostKey::Right => KeyCode::ArrowRight,
        HostKey::Up => KeyCode::ArrowUp,
        HostKey::Down => KeyCode::ArrowDown,
        HostKey::Home => KeyCode::Home,
        HostKey::End => KeyCode::End,
        HostKey::PageUp => KeyCode::PageUp,
        HostKey::PageDown => KeyCode::PageDown,
        HostKey::Insert => KeyCode::Insert,
        HostKey::Delete => KeyCode::Delete,
        HostKey::F(n) => match KeyCode::from_name(&format!("f{n}")) {
            Some(place) => place,
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    with_modifiers(place, key.modifiers.contains(KeyModifiers::SHIFT), key.modifiers)
}

fn with_modifiers(key: KeyCode, shift: bool, modifiers: KeyModifiers) -> Vec<(KeyCode, bool)> {
    let held = [
        (shift, KeyCode::ShiftLeft),
        (modifiers.contains(KeyModifiers::CONTROL), KeyCode::ControlLeft),
        (modifiers.contains(KeyModifiers::ALT), KeyCode::AltLeft),
    ];
    let keys: Vec<KeyCode> = held.into_iter().filter(|h| h.0).map(|h| h.1).chain([key]).collect();
    let down = keys.iter().map(|k| (*k, true));
    let up = keys.iter().rev().map(|k| (*k, false));
    down.chain(up).collect()
}
