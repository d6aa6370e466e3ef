//! The stub for gdb: breakpoints, watchpoints, registers and memory by the GDB remote serial protocol.
//!
//! A debugger that connects finds the machine stopped. Addresses are linear: what segmentation makes of CS:EIP, before
//! paging; `$linear_ip` is where the processor stands. When the debugger leaves, by whatever way, its breakpoints go
//! and the machine runs on. One debugger is served at a time.

mod description;
mod target;

use super::server::{Peer, Server};
use super::{Endpoint, Link, Notice};
use crossbeam_channel::{Receiver, select};
use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError, SingleThreadStopReason};
use std::collections::VecDeque;
use std::io::{self, Write};
use target::Debuggee;

/// Where debuggers are served, until it is dropped.
#[derive(Debug)]
pub struct GdbServer(Server);

impl GdbServer {
    /// Serves debuggers at `endpoint`; `link` leads to the machine.
    pub fn start(endpoint: &Endpoint, link: Link) -> io::Result<Self> {
        Server::start(endpoint, 1, move |peer| serve(peer, link.clone())).map(GdbServer)
    }

    /// Where it listens; names the port if any would do.
    pub fn endpoint(&self) -> &Endpoint {
        self.0.endpoint()
    }
}

/// The peer as the protocol's writer: packets are sent whole.
struct Line {
    peer: Peer,
    packet: Vec<u8>,
    unread: VecDeque<u8>,
}

impl Connection for Line {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.packet.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let sent = self.peer.stream.write_all(&self.packet);
        self.packet.clear();
        sent
    }
}

/// What comes next in a session.
enum Next {
    Byte(u8),
    Notice(Notice),
    /// The peer or the machine is gone.
    End,
}

impl Line {
    /// The next byte, or notice.
    fn next(&mut self, notices: &Receiver<Notice>) -> Next {
        loop {
            if let Some(byte) = self.unread.pop_front() {
                return Next::Byte(byte);
            }
            // An acknowledgement may be all that there is to say for long.
            if !self.packet.is_empty() && self.flush().is_err() {
                return Next::End;
            }
            let chunk = select! {
                recv(self.peer.incoming) -> chunk => chunk,
                recv(notices) -> notice => return notice.map_or(Next::End, Next::Notice),
            };
            match chunk {
                Ok(chunk) => self.unread.extend(chunk),
                Err(_) => return Next::End,
            }
        }
    }
}

fn serve(peer: Peer, link: Link) {
    let Ok(mut debuggee) = Debuggee::attach(link) else { return };
    let line = Line { peer, packet: Vec::new(), unread: VecDeque::new() };
    if let Ok(Some(DisconnectReason::Kill)) = session(line, &mut debuggee) {
        debuggee.kill();
    }
    debuggee.detach();
}

/// Serves a debugger until it leaves, and says how it did: nothing if it was just gone.
fn session(
    line: Line,
    debuggee: &mut Debuggee,
) -> Result<Option<DisconnectReason>, GdbStubError<super::Gone, io::Error>> {
    let mut stub = GdbStub::new(line).run_state_machine(debuggee)?;
    loop {
        stub = match stub {
            GdbStubStateMachine::Idle(mut stub) => match stub.borrow_conn().next(&debuggee.notices) {
                Next::Byte(byte) => stub.incoming_data(debuggee, byte)?,
                // The debugger takes the machine for stopped; what others do with it is no answer to anything.
                Next::Notice(_) => stub.into(),
                Next::End => return Ok(None),
            },
            GdbStubStateMachine::Running(mut stub) => match stub.borrow_conn().next(&debuggee.notices) {
                Next::Byte(byte) => stub.incoming_data(debuggee, byte)?,
                Next::Notice(Notice::Stopped(cause)) => {
                    let reason = debuggee.reason(cause);
                    stub.report_stop(debuggee, reason)?
                }
                Next::Notice(Notice::Shutdown(_)) => {
                    stub.report_stop(debuggee, SingleThreadStopReason::Exited(0))?
                }
                Next::Notice(Notice::Resumed | Notice::Reset { .. } | Notice::PowerButton) => stub.into(),
                Next::End => return Ok(None),
            },
            GdbStubStateMachine::CtrlCInterrupt(stub) => {
                if debuggee.interrupt().is_err() {
                    return Ok(None);
                }
                let none: Option<SingleThreadStopReason<u32>> = None;
                stub.interrupt_handled(debuggee, none)?
            }
            GdbStubStateMachine::Disconnected(stub) => return Ok(Some(stub.get_reason())),
        };
    }
}
