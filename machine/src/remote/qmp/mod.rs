//! The control socket: the QEMU Machine Protocol, as far as it is about what this machine has.
//!
//! QEMU, "QEMU Machine Protocol Specification". JSON objects both ways: a greeting, capabilities negotiation, then
//! commands, each answered in order, with events between the answers. What is not JSON, or too long, is answered with
//! an error, and the connection stays usable from the next line on.

mod commands;
mod input;
mod keys;

use super::server::{Peer, Server};
use super::{End, Endpoint, Gone, Link, Notice};
use crossbeam_channel::select;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a request, at most.
const REQUEST_MAX: usize = 256 << 10;
/// Peers that are served at the same time.
const SESSIONS_MAX: usize = 4;

/// Where control peers are served, until it is dropped.
#[derive(Debug)]
pub struct QmpServer(Server);

impl QmpServer {
    /// Serves peers at `endpoint`; `link` leads to the machine.
    pub fn start(endpoint: &Endpoint, link: Link) -> io::Result<Self> {
        Server::start(endpoint, SESSIONS_MAX, move |peer| serve(peer, link.clone())).map(QmpServer)
    }

    /// Where it listens; names the port if any would do.
    pub fn endpoint(&self) -> &Endpoint {
        self.0.endpoint()
    }
}

/// An error as the protocol has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    class: &'static str,
    description: String,
}

impl Refusal {
    fn new(description: impl ToString) -> Self {
        Refusal { class: "GenericError", description: description.to_string() }
    }

    fn unknown_command(description: String) -> Self {
        Refusal { class: "CommandNotFound", description }
    }
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Self {
        Refusal::new(gone)
    }
}

impl From<super::monitor::Problem> for Refusal {
    fn from(problem: super::monitor::Problem) -> Self {
        Refusal::new(problem)
    }
}

/// A connection.
struct Session {
    peer: Peer,
    link: Link,
    /// Bytes that are no whole request yet.
    unread: Vec<u8>,
    /// The rest of the line belongs to a request that was refused.
    skips_line: bool,
    /// Capabilities were negotiated.
    negotiated: bool,
    mouse: input::Mouse,
}

fn serve(peer: Peer, link: Link) {
    let Ok(notices) = link.ask(|stand| stand.running.listen()) else { return };
    let incoming = peer.incoming.clone();
    let mut session = Session {
        peer,
        link,
        unread: Vec::new(),
        skips_line: false,
        negotiated: false,
        mouse: input::Mouse::default(),
    };
    let mut sent = session.send(&greeting());
    while sent.is_ok() {
        sent = select! {
            recv(incoming) -> chunk => match chunk {
                Ok(chunk) => session.take(&chunk, &notices),
                Err(_) => return,
            },
            recv(notices) -> notice => match notice {
                Ok(notice) => session.tell(notice),
                Err(_) => return,
            },
        };
    }
}

/// The version as the protocol has it: ours.
fn version() -> Value {
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    json!({
        "qemu": {
            "major": number(env!("CARGO_PKG_VERSION_MAJOR")),
            "minor": number(env!("CARGO_PKG_VERSION_MINOR")),
            "micro": number(env!("CARGO_PKG_VERSION_PATCH")),
        },
        "package": "idem86",
    })
}

fn greeting() -> Value {
    json!({"QMP": {"version": version(), "capabilities": []}})
}

impl Session {
    /// Sends a line.
    fn send(&mut self, value: &Value) -> io::Result<()> {
        let mut line = value.to_string();
        line.push_str("\r\n");
        self.peer.stream.write_all(line.as_bytes())
    }

    /// Does the requests that `chunk` completes.
    fn take(&mut self, chunk: &[u8], notices: &crossbeam_channel::Receiver<Notice>) -> io::Result<()> {
        self.unread.extend_from_slice(chunk);
        loop {
            if self.skips_line {
                let Some(end) = self.unread.iter().position(|b| *b == b'\n') else {
                    self.unread.clear();
                    return Ok(());
                };
                self.unread.drain(..=end);
                self.skips_line = false;
            }
            let mut values = serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
            let next = values.next();
            let read = values.byte_offset();
            match next {
                None => {
                    self.unread.clear();
                    return Ok(());
                }
                Some(Ok(request)) => {
                    self.unread.drain(..read);
                    let answer = self.answer(request);
                    // What the command led to comes first, but for the end of everything.
                    let mut end = None;
                    while let Ok(notice) = notices.try_recv() {
                        match notice {
                            Notice::Shutdown(_) => end = Some(notice),
                            _ => self.tell(notice)?,
                        }
                    }
                    self.send(&answer)?;
                    if let Some(notice) = end {
                        self.tell(notice)?;
                    }
                }
                Some(Err(e)) if e.is_eof() && self.unread.len() <= REQUEST_MAX => return Ok(()),
                Some(Err(e)) => {
                    let what = match e.is_eof() {
                        true => format!("a request has at most {REQUEST_MAX} bytes"),
                        false => format!("JSON parse error: {e}"),
                    };
                    // Up to the next line nothing can be made of it.
                    self.unread.drain(..read);
                    self.skips_line = true;
                    self.send(&error(&Refusal::new(what), None))?;
                }
            }
        }
    }

    /// Sends an event.
    fn tell(&mut self, notice: Notice) -> io::Result<()> {
        if !self.negotiated {
            return Ok(());
        }
        let (name, data) = event(notice);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut event = json!({
            "timestamp": {"seconds": now.as_secs(), "microseconds": now.subsec_micros()},
            "event": name,
        });
        if let Some(data) = data {
            event["data"] = data;
        }
        self.send(&event)
    }

    /// Does a request and gives the answer.
    fn answer(&mut self, request: Value) -> Value {
        let Value::Object(mut request) = request else {
            return error(&Refusal::new("QMP input must be a JSON object"), None);
        };
        let id = request.remove("id");
        let done = match request.remove("execute") {
            Some(Value::String(name)) => {
                let arguments = request.remove("arguments");
                match request.keys().next() {
                    Some(key) => Err(Refusal::new(format!("QMP input member '{key}' is unexpected"))),
                    None => self.execute(&name, arguments),
                }
            }
            Some(_) => Err(Refusal::new("QMP input member 'execute' must be a string")),
            None => Err(Refusal::new("QMP input lacks member 'execute'")),
        };
        match done {
            Ok(value) => {
                let mut answer = json!({"return": value});
                if let Some(id) = id {
                    answer["id"] = id;
                }
                answer
            }
            Err(refusal) => error(&refusal, id),
        }
    }

    fn execute(&mut self, name: &str, arguments: Option<Value>) -> Result<Value, Refusal> {
        let arguments = arguments.unwrap_or_else(|| json!({}));
        if !arguments.is_object() {
            return Err(Refusal::new("QMP input member 'arguments' must be an object"));
        }
        match (name, self.negotiated) {
            ("qmp_capabilities", false) => {
                commands::negotiate(arguments)?;
                self.negotiated = true;
                Ok(json!({}))
            }
            ("qmp_capabilities", true) => Err(Refusal::unknown_command(
                "Capabilities negotiation is already complete, command ignored".into(),
            )),
            (_, false) => Err(Refusal::unknown_command(
                "Expecting capabilities negotiation with 'qmp_capabilities'".into(),
            )),
            (_, true) => commands::execute(self, name, arguments),
        }
    }
}

fn error(refusal: &Refusal, id: Option<Value>) -> Value {
    let mut answer = json!({"error": {"class": refusal.class, "desc": refusal.description}});
    if let Some(id) = id {
        answer["id"] = id;
    }
    answer
}

/// The event that tells of `notice`, with its data.
fn event(notice: Notice) -> (&'static str, Option<Value>) {
    match notice {
        Notice::Resumed => ("RESUME", None),
        Notice::Stopped(_) => ("STOP", None),
        Notice::PowerButton => ("POWERDOWN", None),
        Notice::Reset { guest } => {
            let reason = if guest { "guest-reset" } else { "host-qmp-system-reset" };
            ("RESET", Some(json!({"guest": guest, "reason": reason})))
        }
        Notice::Shutdown(end) => {
            let (guest, reason) = match end {
                End::Guest => (true, "guest-shutdown"),
                End::GuestReset => (true, "guest-reset"),
                End::GuestStuck => (true, "guest-panic"),
                End::Asked => (false, "host-qmp-quit"),
                End::Host => (false, "host-signal"),
            };
            ("SHUTDOWN", Some(json!({"guest": guest, "reason": reason})))
        }
    }
}
