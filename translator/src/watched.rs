//! What somebody sees who watches the translator.

/// Units in words.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Guest and host instructions.
    pub listing: String,
    /// A line for each unit as Linux's perf wants them in /tmp/perf-PID.map: address, size, name.
    pub map: String,
}
