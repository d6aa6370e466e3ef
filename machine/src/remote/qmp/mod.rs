//! The control socket: the QEMU Machine Protocol, as far as it is about what this machine has.
//!
//! QEMU, "QEMU Machine Protocol Specification". JSON objects both ways: a greeting, capabilities negotiation, then
//! commands, each answered in order, with events between the answers. What is not JSON, or too long, is answered with
//! an error, and the connection stays usable from the next line on.

mod commands;
mod events;
mod files;
mod input;
mod introspection;
mod jobs;
mod keys;
mod media;
mod run;
mod snapshots;
mod types;

use super::server::{Peer, Server};
use super::{Endpoint, Gone, Link, Notice};
use crossbeam_channel::{Receiver, select};
use events::{Event, JobStatusChange};
use jobs::Jobs;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
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
        let jobs = Jobs::default();
        let session = move |peer| serve(peer, link.clone(), jobs.clone());
        Server::start(endpoint, SESSIONS_MAX, session).map(QmpServer)
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
    jobs: Jobs,
    /// What happens to the machine, and to the jobs.
    news: News,
    /// Bytes that are no whole request yet.
    unread: Vec<u8>,
    /// The rest of the line belongs to a request that was refused.
    skips_line: bool,
    /// Capabilities were negotiated.
    negotiated: bool,
    mouse: input::Mouse,
    /// Where the last snapshot was saved, or loaded from.
    vmstate: Option<PathBuf>,
}

/// Where events come from.
#[derive(Clone)]
struct News {
    notices: Receiver<Notice>,
    changes: Receiver<JobStatusChange>,
}

impl News {
    /// The next event that has happened already.
    fn next(&self) -> Option<Event> {
        let notice = || self.notices.try_recv().ok().map(Event::from);
        notice().or_else(|| self.changes.try_recv().ok().map(Event::JobStatusChange))
    }
}

fn serve(peer: Peer, link: Link, jobs: Jobs) {
    let Ok(notices) = link.ask(|stand| stand.running.listen()) else { return };
    let news = News { notices, changes: jobs.listen() };
    let (incoming, News { notices, changes }) = (peer.incoming.clone(), news.clone());
    let mut session = Session {
        peer,
        link,
        jobs,
        news,
        unread: Vec::new(),
        skips_line: false,
        negotiated: false,
        mouse: input::Mouse::default(),
        vmstate: None,
    };
    let mut sent = session.send(&greeting());
    while sent.is_ok() {
        sent = select! {
            recv(incoming) -> chunk => match chunk {
                Ok(chunk) => session.take(&chunk),
                Err(_) => return,
            },
            recv(notices) -> notice => match notice {
                Ok(notice) => session.tell(notice.into()),
                Err(_) => return,
            },
            recv(changes) -> change => match change {
                Ok(change) => session.tell(Event::JobStatusChange(change)),
                Err(_) => return,
            },
        };
    }
}

fn greeting() -> Value {
    json!({"QMP": {"version": run::version(), "capabilities": []}})
}

impl Session {
    /// Sends a line.
    fn send(&mut self, value: &Value) -> io::Result<()> {
        let mut line = value.to_string();
        line.push_str("\r\n");
        self.peer.stream.write_all(line.as_bytes())
    }

    /// Does the requests that `chunk` completes.
    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
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
                    while let Some(event) = self.news.next() {
                        match event {
                            Event::Shutdown(_) => end = Some(event),
                            _ => self.tell(event)?,
                        }
                    }
                    self.send(&answer)?;
                    if let Some(event) = end {
                        self.tell(event)?;
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
    fn tell(&mut self, event: Event) -> io::Result<()> {
        if !self.negotiated {
            return Ok(());
        }
        let (name, data) = event.into_json()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = json!({
            "timestamp": {"seconds": now.as_secs(), "microseconds": now.subsec_micros()},
            "event": name,
        });
        if data.as_object().is_some_and(|members| !members.is_empty()) {
            line["data"] = data;
        }
        self.send(&line)
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
        if !self.negotiated && name != "qmp_capabilities" {
            return Err(Refusal::unknown_command(
                "Expecting capabilities negotiation with 'qmp_capabilities'".into(),
            ));
        }
        commands::execute(self, name, arguments)
    }
}

fn error(refusal: &Refusal, id: Option<Value>) -> Value {
    let mut answer = json!({"error": {"class": refusal.class, "desc": refusal.description}});
    if let Some(id) = id {
        answer["id"] = id;
    }
    answer
}
