//! Peers that do not behave: what they do to the machine, which is nothing.

use crate::guests::*;
use crate::host::{PATIENCE, engines, run, wait};
use idem86::machine::machine::Machine;
use idem86::machine::remote::gdb::GdbServer;
use idem86::machine::remote::{Desk, Endpoint, Turn};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

/// Lets `peer` talk to a stub over a connection of its own while the machine runs; gives what it gives.
fn talk<T: Send + 'static>(
    machine: &mut Machine,
    desk: &mut Desk,
    server: &GdbServer,
    peer: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> T {
    talk_and_watch(machine, desk, server, peer, |_| ())
}

/// The same; `watch` sees the machine after each of its turns.
fn talk_and_watch<T: Send + 'static>(
    machine: &mut Machine,
    desk: &mut Desk,
    server: &GdbServer,
    peer: impl FnOnce(TcpStream) -> T + Send + 'static,
    mut watch: impl FnMut(&Machine),
) -> T {
    let Endpoint::Tcp(address) = *server.endpoint() else { panic!("TCP was asked for") };
    let peer = thread::spawn(move || {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        peer(stream)
    });
    run(machine, desk, |machine| {
        watch(machine);
        peer.is_finished()
    });
    peer.join().expect("the peer is content")
}

fn stub(frozen: bool) -> (Machine, Desk, GdbServer) {
    let desk = Desk::new(frozen);
    let endpoint = "tcp:127.0.0.1:0".parse().expect("an endpoint");
    let server = GdbServer::start(&endpoint, desk.link()).expect("a port");
    (boot_sector(engines()[0]), desk, server)
}

fn packet(body: &str) -> Vec<u8> {
    let sum = body.bytes().fold(0u8, u8::wrapping_add);
    format!("${body}#{sum:02x}").into_bytes()
}

/// Reads until what came holds `wanted`.
fn expect(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|e| panic!("{e}; no {wanted:?} in {text:?}"));
        text.push(char::from(byte[0]));
    }
    text
}

/// The machine still works, and serves the next debugger.
fn is_sound(machine: &mut Machine, desk: &mut Desk, server: &GdbServer) {
    let before = machine.cpu.work();
    run(machine, desk, |machine| machine.cpu.work() > before + 10_000);
    talk(machine, desk, server, |mut stream| {
        stream.write_all(&packet("?")).expect("it reads");
        expect(&mut stream, "#");
    });
}

#[test]
fn a_running_machine_is_interrupted() {
    let (mut machine, mut desk, server) = stub(false);
    let work = Arc::new(AtomicU64::new(0));
    let done = work.clone();
    let peer = move |mut stream: TcpStream| {
        stream.write_all(&packet("vCont;c")).expect("it reads");
        expect(&mut stream, "+");
        let before = done.load(Relaxed);
        wait(|| done.load(Relaxed) > before);
        stream.write_all(&[3]).expect("it reads");
        expect(&mut stream, "$S02");
        stream.write_all(b"+").expect("it reads");
        stream.write_all(&packet("g")).expect("it reads");
        expect(&mut stream, "#");
    };
    let watch = |machine: &Machine| work.store(machine.cpu.work(), Relaxed);
    talk_and_watch(&mut machine, &mut desk, &server, peer, watch);
    is_sound(&mut machine, &mut desk, &server);
}

#[test]
fn a_debugger_that_vanishes_takes_its_breakpoints_along() {
    let (mut machine, mut desk, server) = stub(true);
    talk(&mut machine, &mut desk, &server, |mut stream| {
        for body in ["Z0,7c07,1", "Z2,500,2", "vCont;c"] {
            stream.write_all(&packet(body)).expect("it reads");
        }
        expect(&mut stream, "$T05");
        // Without a word.
    });
    let before = dword(&mut machine, COUNTER) & 0xFFFF;
    run(&mut machine, &mut desk, |machine| dword(machine, COUNTER) & 0xFFFF > before + 100);
    assert!(!machine.cpu.has_execution_stop(0x7C07));
    is_sound(&mut machine, &mut desk, &server);
}

#[test]
fn nonsense_ends_a_session_at_most() {
    let huge = format!("m{}", "0".repeat(100_000));
    let cases: Vec<Vec<u8>> = vec![
        b"$".to_vec(),
        b"$g#00".to_vec(),
        b"hello".to_vec(),
        vec![0xFF; 10_000],
        packet(&huge),
        packet("m0,ffffffff"),
        packet("m7c00,fff"),
        packet("Mffffffff,4:00000000"),
        packet("M7c00,4:00"),
        packet("P999=00"),
        packet("P8=0"),
        packet("p999"),
        packet("G00"),
        packet("Z2,ffffffff,ffffffff"),
        packet("Z0,7c00,1;X10,1234"),
        packet("z0,1234,1"),
        packet("vCont;s:99"),
        packet("qXfer:features:read:target.xml:ffffffffffff,fff"),
        packet("qXfer:features:read:other.xml:0,fff"),
        packet("qRcmd,zz"),
        packet("qRcmd,782f393939393939393978622030"),
    ];
    let (mut machine, mut desk, server) = stub(false);
    for bytes in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        talk(&mut machine, &mut desk, &server, move |mut stream| {
            // The stub may have hung up before everything was sent.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let before = machine.cpu.work();
        let turn = run(&mut machine, &mut desk, |machine| machine.cpu.work() > before + 10_000);
        assert_eq!(turn, Turn::Ran, "after {shown:?}");
    }
    is_sound(&mut machine, &mut desk, &server);
}

#[test]
fn kill_ends_the_run() {
    let (mut machine, mut desk, server) = stub(false);
    let Endpoint::Tcp(address) = *server.endpoint() else { panic!("TCP was asked for") };
    let peer = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        stream.write_all(&packet("k")).expect("it reads");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(run(&mut machine, &mut desk, |_| false), Turn::Quit);
    drop(desk);
    drop(server);
    peer.join().expect("the connection was closed");
}

#[test]
fn a_debugger_that_is_there_at_the_end_is_let_go() {
    let (mut machine, mut desk, server) = stub(false);
    let mut stream = talk(&mut machine, &mut desk, &server, |mut stream| {
        stream.write_all(&packet("?")).expect("it reads");
        expect(&mut stream, "#");
        stream
    });
    drop(desk);
    drop(server);
    stream.read_to_end(&mut Vec::new()).expect("the connection was closed in order");
}
