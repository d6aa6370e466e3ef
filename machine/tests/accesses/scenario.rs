//! A machine whose devices are driven by bytes: each eight are an access, or let time pass.

use idem86_cpu::bus::Bus;
use idem86_cpu::state::eflags::bit;
use idem86_devices::time::GuestDuration;
use idem86_machine::clock::ClockKind;
use idem86_machine::config::{Config, Firmware, IdeDrive};
use idem86_machine::machine::Machine;

/// Where devices are in memory: display, configuration space's holes, APICs.
const WINDOWS: [u64; 5] = [0xA_0000, 0xB_8000, 0xE000_0000, 0xFEC0_0000, 0xFEE0_0000];

/// Makes the accesses that `bytes` say on a PC with empty drives.
///
/// # Panics
/// If a device does: none may.
pub fn drive(bytes: &[u8]) {
    let mut config = Config::new(1 << 20, Firmware::Builtin);
    config.clock = ClockKind::Virtual;
    config.ide[2] = Some(IdeDrive::Cdrom(None));
    let mut machine = Machine::new(config).expect("the configuration is sound");
    let mut work = 0;
    for access in bytes.as_chunks::<8>().0 {
        let [kind, low, high, size, value @ ..] = *access;
        let size = 1 << (size % 3);
        let value = u32::from_le_bytes(value);
        let place = u16::from_le_bytes([low, high]);
        let aligned = u64::from(place) & 0xFFC;
        work += 1;
        match kind % 6 {
            0 | 1 => machine.board.port_out(place, size, value, work),
            2 => {
                machine.board.port_in(place, size, work);
            }
            3 => {
                let at = WINDOWS[usize::from(kind / 6) % WINDOWS.len()] + aligned;
                machine.board.write(at, size, u64::from(value), work);
            }
            4 => {
                let at = WINDOWS[usize::from(kind / 6) % WINDOWS.len()] + aligned;
                machine.board.read(at, size, work);
            }
            _ => {
                // The processor waits for an interrupt and goes where the empty memory leads it.
                let until = machine.now() + GuestDuration::from_nanos(u64::from(value) % 200_000);
                machine.cpu.eflags.set_system(bit::IF, true);
                machine.cpu.halted = true;
                machine.cpu.state_changed();
                let _ = machine.run_to(until);
            }
        }
        machine.board.pins();
    }
}
