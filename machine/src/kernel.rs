//! Starting a kernel that the machine was given: its pieces go into memory, the processor to its entry.

use crate::guest_memory::GuestMemory;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::state::control::cr0;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{AccessRights, SegReg, Segment};
use idem86_devices::access::DmaMemory;
use idem86_firmware::loader::{Entry, Loaded};

/// Flat 32-bit segments at privilege level 0, as descriptors 1 and 2 of a table that the kernel replaces.
const CODE: (u16, AccessRights) = (0x08, AccessRights(0xC09B));
const DATA: (u16, AccessRights) = (0x10, AccessRights(0xC093));

/// Starts `kernel`. The processor is in real mode.
pub fn start(kernel: &Loaded, memory: &mut GuestMemory<'_>) {
    for (at, bytes) in &kernel.pieces {
        memory.write(u64::from(*at), bytes);
    }
    let cpu = &mut *memory.cpu;
    cpu.set_eflags(0);
    match kernel.entry {
        Entry::Real { cs, segment, sp } => {
            enter(cpu, |s| {
                Segment::real(if s == SegReg::Cs { cs } else { segment }, 0xFFFF, Segment::RESET_DATA)
            });
            cpu.rip = 0;
            cpu.gpr.set(gpr::SP, u32::from(sp));
        }
        Entry::Protected { eip, eax, ebx } => {
            cpu.cr0 |= cr0::PE;
            enter(cpu, |s| {
                let (selector, access) = if s == SegReg::Cs { CODE } else { DATA };
                Segment::new(selector, 0, u32::MAX, access)
            });
            cpu.rip = u64::from(eip);
            cpu.gpr.set(gpr::AX, eax);
            cpu.gpr.set(gpr::BX, ebx);
        }
    }
    cpu.state_changed();
}

fn enter(cpu: &mut Cpu, segment: impl Fn(SegReg) -> Segment) {
    for s in SegReg::ALL {
        cpu.seg[s as usize] = segment(s);
    }
}
