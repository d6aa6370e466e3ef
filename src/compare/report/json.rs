//! The comparison for programs: JSON and CSV.

use crate::compare::table::{Kind, Table};
use serde_json::{Value, json};

/// Everything that is known, as JSON: a list of tables.
pub fn json(tables: &[Table]) -> String {
    format!("{:#}\n", Value::from(tables.iter().map(value).collect::<Vec<_>>()))
}

fn value(table: &Table) -> Value {
    let kind = |kind| match kind {
        Kind::Engine => "engine",
        Kind::Native => "native",
        Kind::Peer => "peer",
    };
    let columns: Vec<Value> =
        table.columns.iter().map(|c| json!({ "name": c.name, "kind": kind(c.kind) })).collect();
    let rows: Vec<Value> = table
        .rows
        .iter()
        .map(|row| {
            let mut value = json!({ "name": row.name, "about": row.about, "unit": row.unit.symbol() });
            match &row.cells {
                Err(what) => value["not_comparable"] = json!(what),
                Ok(cells) => {
                    for (cell, column) in cells.iter().zip(&table.columns) {
                        value["results"][&column.name] = match cell {
                            Ok(sample) => json!({
                                "median": sample.median(),
                                "spread": sample.spread(),
                                "values": sample.values(),
                            }),
                            Err(lack) => json!({ "lacks": lack.to_string() }),
                        };
                    }
                }
            }
            value
        })
        .collect();
    json!({
        "host": table.host,
        "cycles_per_ns": table.cycles_per_ns,
        "columns": columns,
        "rows": rows,
        "notes": table.notes,
    })
}

/// A line for each figure: row, column, unit, median, spread, and what was measured.
pub fn csv(tables: &[Table]) -> String {
    let mut out = String::from("name,runner,unit,median,spread,lacks,values\n");
    for (table, row) in tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table, row))) {
        for (n, column) in table.columns.iter().enumerate() {
            let head = format!("{},{},{}", quoted(&row.name), quoted(&column.name), row.unit.symbol());
            let rest = match row.cells.as_ref().map(|cells| &cells[n]) {
                Ok(Ok(sample)) => {
                    let values: Vec<String> = sample.values().iter().map(f64::to_string).collect();
                    format!("{},{},,{}", sample.median(), sample.spread(), values.join(" "))
                }
                Ok(Err(lack)) => format!(",,{},", quoted(&lack.to_string())),
                Err(what) => format!(",,{},", quoted(what)),
            };
            out += &format!("{head},{rest}\n");
        }
    }
    out
}

/// A field of RFC 4180, "Definition of the CSV Format".
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}
