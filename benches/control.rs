//! Criterion benchmark of the control socket: how long a command takes, while the guest runs and while it stands still.
//! SPECIFICATION.md has what is promised.

use criterion::{Criterion, criterion_group, criterion_main};
use idem86::devices::time::GuestDuration;
use idem86::machine::remote::qmp::QmpServer;
use idem86::machine::remote::{Desk, Endpoint, Turn};
use idem86::testing::boot_sector;
use idem86::{EngineKind, Machine};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

/// The slice between two looks at other business, as the command has it.
const SLICE: GuestDuration = GuestDuration::from_millis(5);

/// A machine whose guest counts for ever (`inc word [500h]; jmp`), run by a thread of its own until somebody quits.
fn serve() -> (SocketAddr, thread::JoinHandle<()>) {
    let floppy = boot_sector(&[0xFF, 0x06, 0x00, 0x05, 0xEB, 0xFA]);
    let builder = Machine::builder().memory(16 << 20).floppy(floppy).engine(EngineKind::fastest());
    let mut machine = builder.build().expect("it can be built");
    let mut desk = Desk::new(false);
    let endpoint = "tcp:127.0.0.1:0".parse().expect("an endpoint");
    let server = QmpServer::start(&endpoint, desk.link()).expect("a port");
    let Endpoint::Tcp(address) = *server.endpoint() else { unreachable!("TCP was asked for") };
    let runner = thread::spawn(move || {
        let _server = server;
        while let Turn::Ran | Turn::Stood = desk.turn(&mut machine, SLICE) {}
    });
    (address, runner)
}

/// Sends a command, and waits for its answer.
fn ask(peer: &mut BufReader<TcpStream>, command: &str) {
    peer.get_mut().write_all(command.as_bytes()).expect("it reads");
    let mut line = String::new();
    while !line.starts_with("{\"return\"") {
        line.clear();
        assert_ne!(peer.read_line(&mut line).expect("an answer"), 0, "{command}: the connection was closed");
        assert!(!line.starts_with("{\"error\""), "{command}: {line}");
    }
}

fn control(c: &mut Criterion) {
    let (address, runner) = serve();
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_nodelay(true).expect("an option of TCP");
    let mut peer = BufReader::new(stream);
    ask(&mut peer, "{\"execute\": \"qmp_capabilities\"}\n");
    let mut group = c.benchmark_group("control");
    for (state, command) in [("running", "cont"), ("paused", "stop")] {
        ask(&mut peer, &format!("{{\"execute\": \"{command}\"}}\n"));
        for command in ["query-status", "query-block", "query-name"] {
            let request = format!("{{\"execute\": \"{command}\"}}\n");
            group.bench_function(format!("{command}, {state}"), |b| b.iter(|| ask(&mut peer, &request)));
        }
    }
    group.finish();
    ask(&mut peer, "{\"execute\": \"quit\"}\n");
    runner.join().expect("it ends when it is asked to");
}

criterion_group!(benches, control);
criterion_main!(benches);
