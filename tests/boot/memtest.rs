//! memtest86+ in text mode: a pass over little memory.

use crate::support::{Session, builtin, engines, guest_bytes};
use idem86::firmware::loader::linux;

#[test]
#[ignore = "takes minutes"]
fn memtest86_completes_a_pass_without_errors() {
    for engine in engines() {
        let test = "memtest86+";
        let Some(kernel) = guest_bytes(test, "memtest/memtest86+ia32.bin") else { return };
        // Its program wants room above 4 MiB.
        let mut config = builtin(5);
        config.kernel = Some(linux::load(&kernel, None, "", config.memory).expect("it is a kernel"));
        let mut session = Session::new(test, engine, config);
        // All tests but the last, which waits ten minutes for bits to fade.
        let select = [
            "wait-screen Status: Testing",
            "key f1",
            "wait-screen <F1>  Test selection",
            "key f1",
            "wait-screen <F2>  Remove one test",
            "key f2",
            "wait-screen Enter test",
            "type 10\\n",
            r"wait-screen \*{8}\.",
            "key f10",
            "key f10",
        ];
        session.steps(&select, 60);
        session.steps(&["wait-screen (?s)Status: Pass.*Pass:  1 +Errors: 0$"], 300);
    }
}
