//! A comparison for readers: text, JSON, CSV, HTML.

mod html;
mod json;
mod text;

pub use html::html;
pub use json::{csv, json};
pub use text::{short, text};

/// A figure with about three digits.
fn figure(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}
