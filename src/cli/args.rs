//! The arguments, and the text of `--help`.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Runs x86 PCs in pure software.
#[derive(Debug, Parser)]
#[command(name = "idem86", version, about, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an image
    Run(Run),
}

/// `idem86 run`.
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Run IMAGE on a bare processor: loaded at 0000:7C00 in real mode, COM1 printed to standard output
    #[arg(long, value_name = "IMAGE")]
    pub flat: PathBuf,

    /// Size of guest memory: a number of bytes, or with suffix K, M or G
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub memory: u64,

    /// Port that ends the run: a write of V exits with code (V << 1) | 1
    #[arg(long, value_name = "PORT", default_value = "0xF4", value_parser = port)]
    pub debug_exit: u16,

    /// Stop after this many seconds, with exit code 124
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<f64>,
}

/// The largest memory that 32-bit physical addresses leave room for below the devices.
const MEMORY_MAX: u64 = 3 << 30;

fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let n: u64 =
        digits.parse().map_err(|_| "expected a number, perhaps with K, M or G behind it".to_string())?;
    let bytes = n.checked_mul(1 << shift).filter(|b| *b <= MEMORY_MAX).ok_or("at most 3G")?;
    if bytes < 1 << 20 { Err("at least 1M".into()) } else { Ok(bytes) }
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    match digits {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .map_err(|_| "expected a port from 0 to 65535, or 0x0 to 0xFFFF".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= 1e9 => Ok(s),
        _ => Err("expected a positive number of seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_and_ports() {
        assert_eq!(size("16M"), Ok(16 << 20));
        assert!(size("1K").is_err() && size("99G").is_err() && size("M").is_err());
        assert_eq!(port("0xF4"), Ok(0xF4));
        assert!(port("0x10000").is_err());
    }
}
