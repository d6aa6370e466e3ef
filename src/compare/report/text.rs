//! The table for terminals.

use super::figure;
use crate::compare::runner::Lack;
use crate::compare::table::{Kind, Row, Table, Unit};
use std::fmt::Write;

/// Width of the first column.
const NAME: usize = 16;

/// The whole comparison: figures, ratios, what was left out and why.
pub fn text(table: &Table) -> String {
    let mut out = format!("host: {}\ntime: that of the processor, without waiting for it\n", table.host);
    if let Some(ticks) = table.cycles_per_ns {
        let _ = writeln!(out, "cycles: of the time-stamp counter, {ticks:.2} in a nanosecond");
    }
    for unit in [Unit::Nanoseconds, Unit::Seconds] {
        let rows: Vec<&Row> = table.rows.iter().filter(|row| row.unit == unit).collect();
        if !rows.is_empty() {
            out.push('\n');
            out += &figures(table, &rows, unit);
            out.push('\n');
            out += &ratios(table, &rows);
        }
    }
    let notes = notes(table);
    if !notes.is_empty() {
        out.push('\n');
        notes.iter().for_each(|note| out += &format!("{note}\n"));
    }
    out
}

/// Medians alone, of a few columns: for a look.
pub fn short(table: &Table) -> String {
    let mut out = format!("{:NAME$}", "nanoseconds");
    table.columns.iter().for_each(|column| out += &format!(" {:>12}", column.name));
    out.push('\n');
    for row in &table.rows {
        let _ = write!(out, "{:NAME$}", row.name);
        for n in 0..table.columns.len() {
            let _ = write!(out, " {:>12}", row.median(n).map_or("-".into(), figure));
        }
        out += &format!("  {}\n", row.about);
    }
    notes(table).iter().for_each(|note| out += &format!("{note}\n"));
    out
}

/// Medians with spreads.
fn figures(table: &Table, rows: &[&Row], unit: Unit) -> String {
    let cycles = table.cycles_per_ns.filter(|_| unit == Unit::Nanoseconds);
    let mut out = format!("{:NAME$}", "");
    let width = if cycles.is_some() { 23 } else { 15 };
    table.columns.iter().for_each(|column| out += &format!(" |{:>width$}", column.name));
    let _ = write!(out, "\n{:NAME$}", "median");
    for _ in &table.columns {
        if cycles.is_some() {
            let _ = write!(out, " |{:>8}", "cycles");
        } else {
            out += " |";
        }
        let _ = write!(out, "{:>9}{:>6}", unit.symbol(), "+-%");
    }
    out.push('\n');
    for row in rows {
        let _ = write!(out, "{:NAME$}", row.name);
        match &row.cells {
            Err(_) => out += " | not comparable, see below",
            Ok(cells) => {
                for cell in cells {
                    match cell {
                        Ok(sample) => {
                            let median = sample.median();
                            out += " |";
                            if let Some(cycles) = cycles {
                                let _ = write!(out, "{:>8}", figure(median * cycles));
                            }
                            let spread = format!("{:.0}", sample.spread() * 100.0);
                            let _ = write!(out, "{:>9}{spread:>6}", figure(median));
                        }
                        Err(lack) => {
                            let _ = write!(out, " |{:>width$}", word(lack));
                        }
                    }
                }
            }
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// What stands in the place of a figure.
fn word(lack: &Lack) -> &'static str {
    match lack {
        Lack::Meaningless(_) => "-",
        Lack::Unsupported(_) => "cannot",
        Lack::Timeout(_) => "no end",
        Lack::Wrong(_) => "failed",
    }
}

/// How many times as long as the best emulator, and as the host itself.
fn ratios(table: &Table, rows: &[&Row]) -> String {
    let compared: Vec<usize> =
        (0..table.columns.len()).filter(|n| table.columns[*n].kind != Kind::Native).collect();
    let native = table.columns.iter().any(|column| column.kind == Kind::Native);
    let mut out = format!("{:NAME$}", "");
    let first = if native { 9 } else { 15 };
    let width = if native { 18 } else { 15 };
    compared.iter().for_each(|n| out += &format!(" |{:>width$}", table.columns[*n].name));
    let _ = write!(out, "\n{:NAME$}", "times");
    for _ in &compared {
        let _ = write!(out, " |{:>first$}", "best");
        if native {
            let _ = write!(out, "{:>9}", "native");
        }
    }
    out.push('\n');
    for row in rows.iter().filter(|row| row.cells.is_ok()) {
        let _ = write!(out, "{:NAME$}", row.name);
        for n in &compared {
            let ratio = |to: Option<f64>| match (row.median(*n), to) {
                (Some(own), Some(to)) if to > 0.0 => figure(own / to),
                _ => "-".into(),
            };
            let _ = write!(out, " |{:>first$}", ratio(table.best(row)));
            if native {
                let _ = write!(out, "{:>9}", ratio(table.native(row)));
            }
        }
        out.push('\n');
    }
    out
}

/// What is to be said besides, a line each.
fn notes(table: &Table) -> Vec<String> {
    let mut notes = table.notes.clone();
    for row in &table.rows {
        match &row.cells {
            Err(what) => notes.push(format!("{}: not comparable: {what}", row.name)),
            Ok(cells) => {
                for (cell, column) in cells.iter().zip(&table.columns) {
                    match cell {
                        Ok(_) | Err(Lack::Meaningless(_)) => {}
                        Err(lack) => notes.push(format!("{} on {}: {lack}", row.name, column.name)),
                    }
                }
            }
        }
    }
    notes
}
