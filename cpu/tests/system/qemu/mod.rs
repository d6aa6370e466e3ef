//! The same firmware image in QEMU and here: both print what every case led to, and must print the same.
//!
//! QEMU (its TCG, not a hypervisor) is another reading of the same manuals. Where it is known to differ from them,
//! the case says so and what is compared leaves that out.

mod image;
mod modes;
mod protection;
mod widths;

use crate::engine::{Engine, Memory};
use idem86_cpu::bus::{Bus, PageKind, Pins, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::flat::FlatBus;
use idem86_cpu::run::Stop;
use image::Case;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes of RAM; the image lies behind in the slice.
const RAM: u64 = 1 << 20;
/// Most work that the cases may take.
const WORK: Work = 50_000_000;

/// RAM, COM1 and the exit port of a flat bus, and the image below 4 GiB.
struct RomBus(FlatBus);

impl Bus for RomBus {
    fn page(&mut self, page: u64) -> PageKind {
        let rom = (1 << 32) - image::SIZE as u64;
        match page.checked_sub(rom) {
            Some(offset) if offset < image::SIZE as u64 => PageKind::Rom(RAM + offset),
            _ => self.0.page(page),
        }
    }
    fn read(&mut self, address: u64, size: usize, now: Work) -> u64 {
        self.0.read(address, size, now)
    }
    fn write(&mut self, address: u64, size: usize, value: u64, now: Work) {
        self.0.write(address, size, value, now);
    }
    fn port_in(&mut self, port: u16, size: usize, now: Work) -> u32 {
        self.0.port_in(port, size, now)
    }
    fn port_out(&mut self, port: u16, size: usize, value: u32, now: Work) {
        self.0.port_out(port, size, value, now);
    }
    fn acknowledge_interrupt(&mut self, now: Work) -> u8 {
        self.0.acknowledge_interrupt(now)
    }
    fn pins(&mut self) -> Pins {
        self.0.pins()
    }
}

/// What the interpreter prints.
fn here(image: &[u8]) -> String {
    let mut ram = Memory::new(RAM as usize + image.len());
    ram[RAM as usize..][..image.len()].copy_from_slice(image);
    let mut bus = RomBus(FlatBus::new(RAM as usize));
    let mut cpu = Cpu::new();
    let stop = Engine::under_test().run(&mut cpu, &mut ram, &mut bus, WORK);
    let output = String::from_utf8_lossy(&bus.0.output).into_owned();
    assert_eq!((stop, bus.0.exit), (Stop::Pause, Some(0)), "the image did not end; it printed:\n{output}");
    output
}

/// What QEMU prints; `None` if there is no QEMU.
fn qemu(image: &[u8], name: &str) -> Option<String> {
    let file = std::env::temp_dir().join(format!("idem86-{}-{name}.bin", std::process::id()));
    std::fs::write(&file, image).expect("image file");
    let child = Command::new("qemu-system-i386")
        .args("-accel tcg -cpu pentium3,+nx -M pc -m 16 -nodefaults -display none -no-reboot".split(' '))
        .args("-serial stdio -device isa-debug-exit,iobase=0xf4".split(' '))
        .arg("-bios")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let output = match child {
        Ok(child) => Some(output_within(child, Duration::from_secs(600))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => panic!("QEMU: {e}"),
    };
    std::fs::remove_file(&file).expect("image file");
    output
}

/// What `child` prints until it ends or the time is up; then it is ended.
fn output_within(mut child: Child, most: Duration) -> String {
    let mut stdout = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).expect("pipe");
        text
    });
    let begin = Instant::now();
    while child.try_wait().expect("child").is_none() {
        if begin.elapsed() > most {
            child.kill().expect("child");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    String::from_utf8_lossy(&reader.join().expect("reader")).into_owned()
}

/// What a line holds.
const FIELDS: &str = "vector error EIP CS EFLAGS EAX ECX EDX EBX ESI EDI GS FS ES DS ESP [ESP SS] CR0 CR2 DR6 TR LDTR \
    PDE PTE PAE-PDE PAE-PTE, sums of GDT LDT TSS TSS32 TSS16";

/// Runs the cases in both, and gives how they differ.
fn differences(name: &str, cases: &[Case]) -> Vec<String> {
    let mut found = Vec::new();
    for (part, cases) in cases.chunks(image::MOST).enumerate() {
        let image = image::build(cases);
        let ours = here(&image);
        let Some(theirs) = qemu(&image, &format!("{name}-{part}")) else {
            eprintln!("skipped: qemu-system-i386 is not installed");
            return Vec::new();
        };
        let (ours, theirs): (Vec<_>, Vec<_>) = (ours.lines().collect(), theirs.lines().collect());
        assert_eq!((ours.len(), theirs.len()), (cases.len(), cases.len()), "a line for each case");
        for ((case, a), b) in cases.iter().zip(ours).zip(theirs) {
            if a != b {
                found.push(format!("{} {:?}:\n  here {a}\n  QEMU {b}", case.name, case.mode));
            }
        }
    }
    found
}

fn compare(name: &str, cases: &[Case]) {
    let found = differences(name, cases);
    let all = found[..found.len().min(20)].join("\n");
    assert!(found.is_empty(), "{} of {} differ\n{}\n{all}", found.len(), cases.len(), FIELDS);
}
