//! A machine with a server, and a peer that sends whatever the fuzzer thinks of and then leaves.

use idem86_devices::time::GuestDuration;
use idem86_machine::machine::Machine;
use idem86_machine::remote::{Desk, Link, Turn};
use idem86_machine::snapshot::Snapshot;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

/// A machine that stands still, and how it was at first.
pub struct Host {
    machine: Machine,
    fresh: Snapshot,
}

impl Host {
    /// A machine with empty drives and little memory.
    pub fn new() -> Self {
        let builder = Machine::builder().memory(1 << 20).empty_cdrom_at('c');
        let mut machine = builder.build().expect("a machine");
        let fresh = machine.snapshot().expect("nothing is in its drives");
        Host { machine, fresh }
    }

    /// Starts a server, lets a peer say `bytes` to it, and waits until it has left.
    pub fn serve<S>(&mut self, start: impl FnOnce(Link) -> (S, std::net::SocketAddr), bytes: Vec<u8>) {
        let Host { machine, fresh } = self;
        machine.restore(fresh).expect("its own snapshot");
        let mut desk = Desk::new(true);
        let (server, address) = start(desk.link());
        let peer = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("somebody listens");
            let mut answers = stream.try_clone().expect("a second handle");
            let reader = thread::spawn(move || answers.read_to_end(&mut Vec::new()));
            // It may hang up before everything is said.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = reader.join();
        });
        while !peer.is_finished() {
            if !matches!(desk.turn(machine, GuestDuration::from_micros(100)), Turn::Ran | Turn::Stood) {
                break;
            }
        }
        drop(desk);
        drop(server);
        peer.join().expect("the peer does nothing that fails");
    }
}
