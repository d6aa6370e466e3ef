//! Where peers connect: Unix sockets and TCP on the loopback interface. The one place that knows how the host's
//! operating system does this.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How long a peer may let a write wait before it is taken for dead.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// An address to listen at.
///
/// ```
/// use idem86_machine::remote::Endpoint;
/// assert!("unix:/tmp/idem86.sock".parse::<Endpoint>().is_ok() == cfg!(unix));
/// assert_eq!("tcp:127.0.0.1:1234".parse::<Endpoint>().unwrap().to_string(), "tcp:127.0.0.1:1234");
/// assert!("tcp:0.0.0.0:1234".parse::<Endpoint>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// A TCP port of the loopback interface; port 0 stands for any that is free.
    Tcp(SocketAddr),
}

/// Why a text names no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither kind.
    #[error("{0:?} is no endpoint; try unix:PATH or tcp:127.0.0.1:PORT")]
    Unknown(String),
    /// Whoever reaches the port owns the machine.
    #[error(
        "{0} is not an address of this host alone; peers can do everything, so only the loopback interface will do"
    )]
    NotLoopback(String),
    /// No such sockets here.
    #[error("this host has no Unix sockets; use tcp:127.0.0.1:PORT")]
    NoUnixSockets,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let unknown = || EndpointError::Unknown(text.into());
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(unknown()),
                _ if !cfg!(unix) => Err(EndpointError::NoUnixSockets),
                _ => Ok(Endpoint::Unix(path.into())),
            };
        }
        let (host, port) =
            text.strip_prefix("tcp:").and_then(|rest| rest.rsplit_once(':')).ok_or_else(unknown)?;
        let port: u16 = port.parse().map_err(|_| unknown())?;
        let address = match host.trim_start_matches('[').trim_end_matches(']') {
            "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().map_err(|_| EndpointError::NotLoopback(host.into()))?,
        };
        match address.is_loopback() {
            true => Ok(Endpoint::Tcp((address, port).into())),
            false => Err(EndpointError::NotLoopback(host.into())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// Something that peers connect to. A Unix socket vanishes with it.
#[derive(Debug)]
pub(super) enum Listener {
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens at `endpoint`. A Unix socket that nobody listens at any longer is replaced.
    pub(super) fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                use std::os::unix::fs::{FileTypeExt, PermissionsExt};
                let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
                if is_socket && UnixStream::connect(path).is_err() {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Listener::Unix(listener, path.clone()))
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Endpoint::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address)?)),
        }
    }

    /// Where it listens; names the port if any would do.
    pub(super) fn endpoint(&self) -> io::Result<Endpoint> {
        match self {
            #[cfg(unix)]
            Listener::Unix(_, path) => Ok(Endpoint::Unix(path.clone())),
            Listener::Tcp(listener) => Ok(Endpoint::Tcp(listener.local_addr()?)),
        }
    }

    /// Waits for a peer.
    pub(super) fn accept(&self) -> io::Result<Stream> {
        let stream = match self {
            #[cfg(unix)]
            Listener::Unix(listener, _) => Stream::Unix(listener.accept()?.0),
            Listener::Tcp(listener) => Stream::Tcp(listener.accept()?.0),
        };
        stream.prepare()?;
        Ok(stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// Connects to whoever listens at `endpoint`.
    pub(super) fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            #[cfg(unix)]
            Endpoint::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
            #[cfg(not(unix))]
            Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Endpoint::Tcp(address) => {
                // What listens everywhere is reached at home.
                let host = match address.ip() {
                    ip if !ip.is_unspecified() => ip,
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                Ok(Stream::Tcp(TcpStream::connect((host, address.port()))?))
            }
        }
    }

    fn prepare(&self) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_write_timeout(Some(WRITE_TIMEOUT)),
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(WRITE_TIMEOUT))
            }
        }
    }

    /// A second handle on the same connection.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => Ok(Stream::Unix(stream.try_clone()?)),
            Stream::Tcp(stream) => Ok(Stream::Tcp(stream.try_clone()?)),
        }
    }

    /// Ends the connection: whoever waits for it wakes up.
    pub(super) fn shut_down(&self) {
        // Either it is open, or there is nothing to do.
        let _ = match self {
            #[cfg(unix)]
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_as_they_are_written() {
        let parse = |text: &str| text.parse::<Endpoint>();
        assert_eq!(parse("tcp:localhost:0").unwrap().to_string(), "tcp:127.0.0.1:0");
        assert_eq!(parse("tcp::1234").unwrap().to_string(), "tcp:127.0.0.1:1234");
        assert_eq!(parse("tcp:[::1]:4444").unwrap().to_string(), "tcp:[::1]:4444");
        for open in ["tcp:0.0.0.0:1", "tcp:192.168.0.1:1", "tcp:[::]:1", "tcp:example.org:1"] {
            assert!(matches!(parse(open), Err(EndpointError::NotLoopback(_))), "{open}");
        }
        for nonsense in ["", "unix:", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:99999", "udp:127.0.0.1:1"] {
            assert!(matches!(parse(nonsense), Err(EndpointError::Unknown(_))), "{nonsense}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_is_its_owners_alone_and_vanishes() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let endpoint = Endpoint::Unix(path.clone());
        let listener = Listener::bind(&endpoint).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = Listener::bind(&endpoint).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "somebody listens there");
        drop(listener);
        assert!(!path.exists());
        // One that a killed process left behind.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Listener::bind(&endpoint).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&endpoint).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious", "what is no socket is left alone");
    }
}
