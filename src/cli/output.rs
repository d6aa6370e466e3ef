//! Where the guest's output goes.

use super::Failure;
use super::args::Output;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// Takes output of a serial port or of the debug console.
pub struct Sink {
    name: String,
    to: Box<dyn Write>,
}

impl Sink {
    /// Opens what the argument names.
    pub fn open(output: &Output) -> Result<Sink, Failure> {
        Ok(match output {
            Output::Stdio => Sink { name: "standard output".into(), to: Box::new(io::stdout()) },
            Output::None => Sink { name: "nowhere".into(), to: Box::new(io::sink()) },
            Output::File(path) => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|e| Failure::Usage(format!("{name}: {e}")))?;
                Sink { name, to: Box::new(BufWriter::new(file)) }
            }
        })
    }

    /// Writes `bytes` at once.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.to.write_all(bytes).map_err(|e| self.failure(&e))?;
        self.flush()
    }

    /// Makes sure that everything is where it belongs.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(|e| self.failure(&e))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("{}: {error}", self.name))
    }
}
