//! Guest memory for debuggers: without accessed bits, faults, or reads that devices would notice.

use crate::machine::Machine;
use crate::memmap::{PAM_AREA, VGA_WINDOW};
use idem86_cpu::bus::{Biu, PageKind};
use idem86_devices::access::DmaMemory;
use std::cell::Cell;

/// How the addresses of an access count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// As code sees them, before paging.
    Linear,
    /// As the bus sees them.
    Physical,
}

/// The physical address of `at`; `None` where nothing is mapped.
fn physical(machine: &mut Machine, space: Space, at: u64) -> Option<u64> {
    match space {
        Space::Physical => Some(at),
        Space::Linear => {
            let ram = Cell::from_mut(&mut *machine.slab).as_slice_of_cells();
            machine.cpu.peek_address(&mut Biu::new(ram, &mut machine.board), at)
        }
    }
}

/// How many of `left` bytes at `at` lie on its page.
fn on_page(at: u64, left: usize) -> usize {
    left.min(0x1000 - (at % 0x1000) as usize)
}

/// Reads bytes at `at` into `out`, and gives how many could be: up to the first that is not mapped, or is a register of
/// a device.
pub(super) fn read(machine: &mut Machine, space: Space, at: u64, out: &mut [u8]) -> usize {
    let mut done = 0;
    while done < out.len() {
        let address = at.wrapping_add(done as u64);
        let Some(physical) = physical(machine, space, address) else { break };
        let len = on_page(address, out.len() - done);
        let piece = &mut out[done..done + len];
        if machine.board.page(physical & !0xFFF) == PageKind::Device {
            let read = read_screen(machine, physical, piece);
            done += read;
            if read < len {
                break;
            }
            continue;
        }
        machine.memory().read(physical, piece);
        done += len;
    }
    done
}

/// Reads the display adapter's window, where nobody notices; gives how many bytes are there.
fn read_screen(machine: &mut Machine, physical: u64, out: &mut [u8]) -> usize {
    if !(VGA_WINDOW..PAM_AREA).contains(&physical) {
        return 0;
    }
    for (n, byte) in out.iter_mut().enumerate() {
        match machine.board.vga.peek(physical - VGA_WINDOW + n as u64) {
            Some(value) => *byte = value,
            None => return n,
        }
    }
    out.len()
}

/// Writes `bytes` at `at`: all of them, or none if some are not mapped or not RAM.
pub(super) fn write(machine: &mut Machine, space: Space, at: u64, bytes: &[u8]) -> bool {
    let mut pieces = Vec::new();
    let mut done = 0;
    while done < bytes.len() {
        let address = at.wrapping_add(done as u64);
        let Some(physical) = physical(machine, space, address) else { return false };
        if !matches!(machine.board.page(physical & !0xFFF), PageKind::Ram(_)) {
            return false;
        }
        let len = on_page(address, bytes.len() - done);
        pieces.push((physical, done..done + len));
        done += len;
    }
    for (physical, range) in pieces {
        machine.write_physical(physical, &bytes[range]);
    }
    true
}
