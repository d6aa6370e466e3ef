//! The comparison as one HTML page with its plots in it: nothing is fetched.

use super::{figure, text};
use crate::compare::table::{Row, Table, Unit};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::ops::Range;

/// Colours of columns (Okabe and Ito's, which most eyes tell apart).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];

/// Rows in a plot.
const ROWS: usize = 12;

/// The page: each table with its plots.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn html(tables: &[Table]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let body = tables.iter().map(section).collect::<Result<String, _>>()?;
    let plain: String = tables.iter().map(text).collect();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>idem86: engines compared</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>idem86: engines compared</h1>\n\
         <p>Each figure is the median of its runs; the bar behind a dot reaches from the least to the greatest of \
         them. Further left is faster. All engines had to come to the same registers, memory, devices and work.</p>\n\
         {body}<h2>As text</h2>\n<pre>{}</pre>\n</body></html>\n",
        escaped(&plain),
    ))
}

/// A table and its plots.
fn section(table: &Table) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mut out = format!("<p>{}</p>\n", escaped(&table.host));
    out += "<p class=\"key\">";
    for (column, colour) in table.columns.iter().zip(COLOURS.iter().cycle()) {
        let RGBColor(red, green, blue) = colour;
        let name = escaped(&column.name);
        out += &format!("<span style=\"color:rgb({red},{green},{blue})\">&#9679;</span> {name} ");
    }
    out += "</p>\n";
    for unit in [Unit::Nanoseconds, Unit::Seconds] {
        let rows: Vec<&Row> = table.rows.iter().filter(|row| row.unit == unit).collect();
        let drawn = |row: &&&Row| (0..table.columns.len()).any(|n| row.median(n).is_some());
        let seen: Vec<&Row> = rows.iter().filter(drawn).copied().collect();
        for rows in seen.chunks(ROWS) {
            out += &plot(table, rows, unit, range(&seen))?;
        }
        if !rows.is_empty() {
            out += &grid(table, &rows, unit);
        }
    }
    Ok(out)
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}\
    td:first-child,th:first-child{text-align:left;white-space:nowrap}.key{position:sticky;top:0;background:#fff}.best{font-weight:bold}.about{color:#666;text-align:left}\
    svg{max-width:100%;height:auto}pre{overflow-x:auto;font-size:13px}";

/// What a cost that is too small to be seen is drawn as.
const LEAST: f64 = 0.01;

/// The figures of `rows`, from somewhat below the least to somewhat above the greatest.
fn range(rows: &[&Row]) -> Range<f64> {
    let samples = rows.iter().flat_map(|row| row.cells.iter().flatten().flatten());
    let values = samples.flat_map(|sample| sample.values()).map(|value| value.max(LEAST));
    let (least, most) = values.fold((f64::INFINITY, LEAST), |(least, most), v| (least.min(v), most.max(v)));
    least / 1.6..most * 1.6
}

/// Dots on a logarithmic scale, one line for each row.
fn plot(
    table: &Table,
    rows: &[&Row],
    unit: Unit,
    range: Range<f64>,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let lines = rows.len() as f64;
    let (least, most) = (range.start, range.end);
    let mut svg = String::new();
    {
        let height = 90 + 34 * rows.len() as u32;
        let area = SVGBackend::with_string(&mut svg, (1100, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(130)
            .build_cartesian_2d((least..most).log_scale(), 0.0..lines)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .y_labels(0)
            .x_desc(match unit {
                Unit::Nanoseconds => "nanoseconds for an operation",
                Unit::Seconds => "seconds",
            })
            .x_label_formatter(&|v| if *v < 1.0 { format!("{v}") } else { format!("{v:.0}") })
            .draw()?;
        let line = |n: usize| lines - n as f64 - 0.5;
        for (n, row) in rows.iter().enumerate() {
            let at = line(n);
            chart.draw_series([PathElement::new([(least, at), (most, at)], RGBColor(225, 225, 225))])?;
            let style = ("sans-serif", 15).into_font().color(&BLACK);
            let anchored = style.pos(Pos::new(HPos::Right, VPos::Center));
            let (x, y) = chart.backend_coord(&(least, at));
            area.draw_text(&row.name, &anchored, (x - 8, y))?;
        }
        for c in 0..table.columns.len() {
            let colour = COLOURS[c % COLOURS.len()];
            // Columns stand a little apart, so that equal figures do not hide each other.
            let apart = 0.1 * (c as f64 - (table.columns.len() as f64 - 1.0) / 2.0);
            let cells = rows.iter().enumerate().filter_map(|(n, row)| {
                Some((line(n) - apart, row.cells.as_ref().ok()?.get(c)?.as_ref().ok()?))
            });
            let cells: Vec<_> = cells.collect();
            let bars = cells.iter().map(|(at, sample)| {
                let values = sample.values();
                let ends = [values[0].max(LEAST), values[values.len() - 1].max(LEAST)];
                PathElement::new(ends.map(|v| (v, *at)), colour.mix(0.5).stroke_width(5))
            });
            chart.draw_series(bars)?;
            let dots =
                cells.iter().map(|(at, s)| Circle::new((s.median().max(LEAST), *at), 5, colour.filled()));
            chart.draw_series(dots)?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// Medians as a table.
fn grid(table: &Table, rows: &[&Row], unit: Unit) -> String {
    let mut out = String::from("<table><tr><th></th>");
    for column in &table.columns {
        out += &format!("<th>{}, {}</th>", escaped(&column.name), unit.symbol());
    }
    out += "<th></th></tr>\n";
    for row in rows {
        out += &format!("<tr><td>{}</td>", escaped(&row.name));
        let best = table.best(row);
        match &row.cells {
            Err(what) => {
                let columns = table.columns.len();
                out += &format!("<td colspan=\"{columns}\">not comparable: {}</td>", escaped(what));
            }
            Ok(cells) => {
                for (n, cell) in cells.iter().enumerate() {
                    out += &match cell {
                        Ok(sample) if best.is_some() && row.median(n) == best => {
                            format!("<td class=\"best\">{}</td>", figure(sample.median()))
                        }
                        Ok(sample) => format!("<td>{}</td>", figure(sample.median())),
                        Err(lack) => format!("<td title=\"{}\">-</td>", escaped(&lack.to_string())),
                    };
                }
            }
        }
        out += &format!("<td class=\"about\">{}</td></tr>\n", escaped(&row.about));
    }
    out + "</table>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
