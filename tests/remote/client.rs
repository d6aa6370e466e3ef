//! A peer of the control socket, who speaks the protocol by hand, and a machine for it.

use crate::guests::boot_sector;
use crate::host::{PATIENCE, engines, run};
use idem86::machine::machine::Machine;
use idem86::machine::remote::qmp::QmpServer;
use idem86::machine::remote::{Desk, Endpoint, Turn};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

/// A peer that speaks line by line.
pub struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    /// Connects to whoever listens.
    pub fn connect(endpoint: &Endpoint) -> Client {
        let Endpoint::Tcp(address) = endpoint else { panic!("TCP was asked for") };
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client { lines: BufReader::new(stream) }
    }

    /// What is sent to.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.lines.get_mut()
    }

    /// All that comes until the connection ends.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("the end");
        rest
    }

    /// Sends a text as it is.
    pub fn send(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).expect("it reads");
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("an answer");
        assert!(line.ends_with("\r\n"), "{line:?}");
        line.trim_end().to_string()
    }

    /// The next line that is no event.
    pub fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            // Members come in the order of their names.
            if !line.starts_with("{\"data\"") && !line.starts_with("{\"event\"") {
                return line;
            }
        }
    }

    /// Sends a command and gives its answer, which must not be an error.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\n"));
        let answer = self.answer();
        assert!(answer.contains("\"return\""), "{command}: {answer}");
        answer
    }

    /// Sends a command and gives the error that it must be answered with.
    pub fn refused(&mut self, command: &str) -> String {
        self.send(&format!("{command}\n"));
        let answer = self.answer();
        assert!(answer.contains("\"error\""), "{command}: {answer}");
        answer
    }

    /// What comes before all commands.
    pub fn negotiate(&mut self) {
        assert!(self.line().starts_with("{\"QMP\":"));
        self.ask(r#"{"execute": "qmp_capabilities"}"#);
    }

    /// Does a command with arguments, which must not fail, and gives what it gives.
    pub fn run(&mut self, command: &str, arguments: Value) -> Value {
        let request = serde_json::json!({"execute": command, "arguments": arguments});
        let answer: Value = serde_json::from_str(&self.ask(&request.to_string())).expect("JSON");
        answer["return"].clone()
    }

    /// Reads until an event comes.
    pub fn event(&mut self, name: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(&format!("\"event\":\"{name}\"")) {
                return line;
            }
        }
    }
}

/// A machine that is served.
pub fn served(frozen: bool) -> (Machine, Desk, QmpServer) {
    let desk = Desk::new(frozen);
    let endpoint = "tcp:127.0.0.1:0".parse().expect("an endpoint");
    let server = QmpServer::start(&endpoint, desk.link()).expect("a port");
    (boot_sector(engines()[0]), desk, server)
}

/// Lets `peer` talk while the machine runs; gives what it gives, and how the run ended.
pub fn talk<T: Send + 'static>(
    machine: &mut Machine,
    desk: &mut Desk,
    server: &QmpServer,
    peer: impl FnOnce(Client) -> T + Send + 'static,
) -> (T, Turn) {
    let endpoint = server.endpoint().clone();
    let peer = thread::spawn(move || peer(Client::connect(&endpoint)));
    let turn = run(machine, desk, |_| peer.is_finished());
    (peer.join().expect("the peer is content"), turn)
}
