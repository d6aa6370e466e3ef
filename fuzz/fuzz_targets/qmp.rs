//! Any bytes at the control socket: `cargo fuzz run qmp -- -dict=dictionaries/qmp`. Requests name files that are
//! written, so run it as a user who may write nothing but the corpus.
#![no_main]

mod peer;

use idem86_machine::remote::Endpoint;
use idem86_machine::remote::qmp::QmpServer;
use std::cell::RefCell;

thread_local! {
    static HOST: RefCell<peer::Host> = RefCell::new(peer::Host::new());
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let said = [br#"{"execute": "qmp_capabilities"}"#, bytes].concat();
    let start = |link| {
        let server = QmpServer::start(&"tcp:127.0.0.1:0".parse().expect("an endpoint"), link).expect("a port");
        let Endpoint::Tcp(address) = *server.endpoint() else { unreachable!("TCP was asked for") };
        (server, address)
    };
    HOST.with_borrow_mut(|host| host.serve(start, said));
});
