//! What the guest prints: serial ports and debug console, kept for whoever asks and passed on to sinks.

use std::fmt;
use std::io::{self, Write};

/// Where output of the guest comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// A serial port: 0 is COM1, 3 is COM4.
    Serial(u8),
    /// The debug console, ports E9h and 402h.
    DebugConsole,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Serial(n) => write!(f, "COM{}", u16::from(*n) + 1),
            Port::DebugConsole => write!(f, "the debug console"),
        }
    }
}

/// A sink could not take what the guest printed. It is not written to any more.
#[derive(Debug, thiserror::Error)]
#[error("the sink of {port} failed: {error}")]
pub struct SinkError {
    /// Whose sink.
    pub port: Port,
    /// What the host says.
    pub error: io::Error,
}

/// Bytes that are kept of each port for [`crate::machine::Machine::serial_output`]; of more, the last ones.
pub const KEPT: usize = 1 << 20;

/// What one port printed.
#[derive(Default)]
pub(crate) struct Output {
    kept: Vec<u8>,
    /// How much of `kept` conditions have matched already.
    matched: usize,
    /// How much was ever printed.
    printed: u64,
    sink: Option<Box<dyn Write + Send>>,
}

impl Output {
    /// Sends what comes to `sink` too.
    pub fn set_sink(&mut self, sink: Box<dyn Write + Send>) {
        self.sink = Some(sink);
    }

    /// Adds what was printed.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.kept.extend_from_slice(bytes);
        self.printed += bytes.len() as u64;
        // Dropped in large pieces, so that it costs little for each byte.
        if self.kept.len() > 2 * KEPT {
            let dropped = self.kept.len() - KEPT;
            self.kept.drain(..dropped);
            self.matched = self.matched.saturating_sub(dropped);
        }
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.write_all(bytes).and_then(|()| sink.flush())
        {
            self.sink = None;
            return Err(error);
        }
        Ok(())
    }

    /// What is kept.
    pub fn kept(&self) -> &[u8] {
        &self.kept[self.kept.len().saturating_sub(KEPT)..]
    }

    /// Takes what is kept.
    pub fn take(&mut self) -> Vec<u8> {
        self.matched = 0;
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.drain(..bytes.len().saturating_sub(KEPT));
        bytes
    }

    /// How many bytes were ever printed.
    pub fn printed(&self) -> u64 {
        self.printed
    }

    /// What no condition has matched yet.
    pub fn unmatched(&self) -> &[u8] {
        &self.kept[self.matched..]
    }

    /// The first `count` bytes of [`Output::unmatched`] were matched.
    pub fn matched(&mut self, count: usize) {
        self.matched += count;
    }
}

/// All outputs of a machine.
#[derive(Default)]
pub(crate) struct Outputs {
    /// COM1 to COM4.
    pub serial: [Output; 4],
    /// The debug console.
    pub debug_console: Output,
    /// A serial port printed something since the run loop looked last.
    pub printed: bool,
    /// The first failure that nobody was told of.
    pub failed: Option<SinkError>,
}

impl Outputs {
    /// The output of `port`.
    ///
    /// # Panics
    /// If there is no such serial port.
    pub fn of(&mut self, port: Port) -> &mut Output {
        match port {
            Port::Serial(n) => &mut self.serial[usize::from(n)],
            Port::DebugConsole => &mut self.debug_console,
        }
    }

    /// Nothing was printed yet; sinks stay.
    pub fn forget(&mut self) {
        let all = self.serial.iter_mut().chain([&mut self.debug_console]);
        all.for_each(|output| *output = Output { sink: output.sink.take(), ..Output::default() });
    }

    /// `port` printed `bytes`.
    pub fn push(&mut self, port: Port, bytes: &[u8]) {
        self.printed |= matches!(port, Port::Serial(_));
        if let Err(error) = self.of(port).push(bytes) {
            self.failed.get_or_insert(SinkError { port, error });
        }
    }
}

/// A closure as a sink.
pub(crate) struct Closure<F>(pub F);

impl<F: FnMut(&[u8])> Write for Closure<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mebibyte_is_kept() {
        let mut output = Output::default();
        output.push(b"first").unwrap();
        output.matched(5);
        for n in 0..5 {
            output.push(&vec![n; KEPT]).unwrap();
            assert!(output.kept.len() <= 2 * KEPT, "memory is bounded");
        }
        assert!(output.unmatched().len() >= KEPT);
        assert_eq!(output.take(), vec![4; KEPT]);
        assert!(output.unmatched().is_empty());
    }

    #[test]
    fn a_sink_that_fails_is_told_of_once() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut outputs = Outputs::default();
        outputs.of(Port::Serial(1)).set_sink(Box::new(Full));
        outputs.push(Port::Serial(1), b"a");
        let failed = outputs.failed.take().expect("it failed");
        assert_eq!(failed.port.to_string(), "COM2");
        outputs.push(Port::Serial(1), b"b");
        assert!(outputs.failed.is_none());
        assert_eq!(outputs.serial[1].take(), b"ab", "what was printed is kept all the same");
    }
}
