//! Boots a Linux kernel to a shell at the serial port, runs a command, and looks at its output.
//!
//!     cargo run --release --example boot_linux -- bzImage initrd.gz ['uname -a' [Linux]]

use idem86::{Ended, Machine, Until};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(kernel), Some(initrd)) = (arguments.next(), arguments.next()) else {
        return Err(
            "which kernel, and which initial RAM disk with a /bin/sh? Those of the network installer of \
                    Debian for i386 do: debian-installer/i386/linux and initrd.gz"
                .into(),
        );
    };
    let command = arguments.next().unwrap_or_else(|| "uname -a".into());
    let expected = arguments.next().unwrap_or_else(|| "Linux".into());

    let mut machine = Machine::builder()
        .memory(512 << 20)
        .kernel(kernel.as_str())
        .initrd(initrd.as_str())
        .append("console=ttyS0 quiet rdinit=/bin/sh")
        .build()?;
    wait_for(&mut machine, r"~ # $")?;
    // The quotes keep the echo of the command from matching what it prints.
    machine.serial_output(0);
    machine.send_serial(0, format!("{command}; echo do''ne\n").as_bytes())?;
    wait_for(&mut machine, r"done\r\n")?;

    let output = String::from_utf8_lossy(&machine.serial_output(0)).into_owned();
    let output: String = output.lines().skip(1).filter(|line| *line != "done").collect();
    println!("{output}");
    if !output.contains(&expected) {
        return Err(format!("the output does not contain {expected:?}").into());
    }
    Ok(())
}

/// Runs until the serial port has printed `pattern`, for at most ten minutes.
fn wait_for(machine: &mut Machine, pattern: &str) -> Result<(), Box<dyn Error>> {
    let limit = Until::host_time(Duration::from_secs(600));
    match machine.run_until(Until::serial(pattern).or(limit))? {
        Ended::Serial { .. } => Ok(()),
        other => {
            let printed = String::from_utf8_lossy(machine.peek_serial(0)).into_owned();
            Err(format!("no {pattern} but {other:?} after\n{printed}").into())
        }
    }
}
