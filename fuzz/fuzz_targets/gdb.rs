//! Any bytes as what a debugger sends: `cargo fuzz run gdb -- -dict=dictionaries/gdb`. If the first byte is even they
//! are packets, each up to a byte 0, that get their frames and checksums here; else they are sent as they are.
#![no_main]

mod peer;

use idem86_machine::remote::Endpoint;
use idem86_machine::remote::gdb::GdbServer;
use std::cell::RefCell;

thread_local! {
    static HOST: RefCell<peer::Host> = RefCell::new(peer::Host::new());
}

/// Bodies as packets.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let packet = |body: &[u8]| {
        let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        [b"+$", body, b"#", format!("{sum:02x}").as_bytes()].concat()
    };
    bytes.split(|byte| *byte == 0).flat_map(packet).collect()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let said = if kind % 2 == 0 { framed(rest) } else { rest.to_vec() };
    let start = |link| {
        let server = GdbServer::start(&"tcp:127.0.0.1:0".parse().expect("an endpoint"), link).expect("a port");
        let Endpoint::Tcp(address) = *server.endpoint() else { unreachable!("TCP was asked for") };
        (server, address)
    };
    HOST.with_borrow_mut(|host| host.serve(start, said));
});
