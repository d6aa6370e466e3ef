//! What a comparison gives: a table of figures with what was measured each time.

use super::runner::Lack;

/// What the figures of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds for an operation.
    Nanoseconds,
    /// Seconds for the whole.
    Seconds,
}

impl Unit {
    /// Its symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Seconds => "s",
        }
    }
}

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An engine of ours.
    Engine,
    /// The host itself, which others are compared with.
    Native,
    /// Another emulator.
    Peer,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// Figures of the same thing, measured several times; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    /// From what was measured; `None` if that is nothing.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Sample { sorted: values })
    }

    /// What was measured, in ascending order.
    pub fn values(&self) -> &[f64] {
        &self.sorted
    }

    /// The one in the middle, or between the two there.
    pub fn median(&self) -> f64 {
        let (n, half) = (self.sorted.len(), self.sorted.len() / 2);
        if n % 2 == 1 { self.sorted[half] } else { (self.sorted[half - 1] + self.sorted[half]) / 2.0 }
    }

    /// Half the distance between the quartiles, as a part of the median: what half of the runs stay within.
    pub fn spread(&self) -> f64 {
        let last = (self.sorted.len() - 1) as f64;
        let at = |part: f64| {
            let place = last * part;
            let (low, high) = (self.sorted[place.floor() as usize], self.sorted[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        let median = self.median();
        if median > 0.0 { (at(0.75) - at(0.25)) / 2.0 / median } else { 0.0 }
    }
}

/// A row: the same work on every column.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name on the command line.
    pub name: String,
    /// What is measured.
    pub about: String,
    /// Of the figures.
    pub unit: Unit,
    /// A figure for each column, or why there is none; or, for the whole row, why it is not comparable.
    pub cells: Result<Vec<Result<Sample, Lack>>, String>,
}

impl Row {
    /// The median of column `n`.
    pub fn median(&self, n: usize) -> Option<f64> {
        self.cells.as_ref().ok()?.get(n)?.as_ref().ok().map(Sample::median)
    }
}

/// A comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What was compared.
    pub columns: Vec<Column>,
    /// On what.
    pub rows: Vec<Row>,
    /// What else is to be said: runners that could not take part, things that were skipped.
    pub notes: Vec<String>,
    /// The machine that it was measured on.
    pub host: String,
    /// Ticks of the host's time-stamp counter in a nanosecond: what cycles are.
    pub cycles_per_ns: Option<f64>,
}

impl Table {
    /// The least median of a row that is not the host's own.
    pub fn best(&self, row: &Row) -> Option<f64> {
        let emulators = (0..self.columns.len()).filter(|n| self.columns[*n].kind != Kind::Native);
        emulators.filter_map(|n| row.median(n)).min_by(f64::total_cmp)
    }

    /// Whether anything could be measured.
    pub fn has_figures(&self) -> bool {
        self.rows.iter().any(|row| row.cells.iter().flatten().any(Result::is_ok))
    }

    /// The host's own median of a row.
    pub fn native(&self, row: &Row) -> Option<f64> {
        let native = self.columns.iter().position(|column| column.kind == Kind::Native)?;
        row.median(native)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        let sample = |values: &[f64]| Sample::new(values.to_vec()).unwrap();
        assert_eq!(Sample::new(Vec::new()), None);
        assert_eq!(sample(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(sample(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(sample(&[7.0]).spread(), 0.0);
        assert_eq!(sample(&[1.0, 2.0, 3.0, 4.0, 5.0]).spread(), 1.0 / 3.0);
        assert_eq!(sample(&[0.0, 0.0]).spread(), 0.0);
    }
}
