//! Serving peers: a thread that accepts them, and for each a thread that reads and one that answers.

use super::endpoint::{Endpoint, Listener, Stream, WRITE_TIMEOUT};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are read at once.
const CHUNK: usize = 4096;
/// Chunks that may wait to be looked at; then the peer waits too.
const CHUNKS_WAITING: usize = 16;
/// How long sessions may take to say good-bye: as long as a peer may take to read it.
const FAREWELL: Duration = WRITE_TIMEOUT;
/// Between two attempts to accept a peer when the host has no means to.
const BREATH: Duration = Duration::from_millis(100);

/// A peer, as its session sees it.
pub(super) struct Peer {
    /// What it sends, in pieces; disconnected when it leaves.
    pub(super) incoming: Receiver<Vec<u8>>,
    /// What is sent to it.
    pub(super) stream: Stream,
}

/// The connections that are open, to be shut down at the end.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, Stream>,
}

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Open>,
    closing: AtomicBool,
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        // The table is whole at any moment, whoever panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place where peers are served until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    /// Disconnected when all threads are done.
    done: Receiver<()>,
}

impl Server {
    /// Listens at `endpoint` and runs `session` for each peer, for at most `most` at a time; others wait.
    pub(super) fn start(
        endpoint: &Endpoint,
        most: usize,
        session: impl Fn(Peer) + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = Listener::bind(endpoint)?;
        let endpoint = listener.endpoint()?;
        let shared = Arc::new(Shared::default());
        let (alive, done) = bounded(0);
        let session = Arc::new(session);
        let for_thread = shared.clone();
        thread::Builder::new()
            .name("remote".into())
            .spawn(move || accept(&listener, &for_thread, most, &session, &alive))?;
        Ok(Server { endpoint, shared, done })
    }

    /// Where it listens; names the port if any would do.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Whoever accepts wakes up and sees that it is over.
        let _ = Stream::connect(&self.endpoint);
        let patience = Instant::now() + FAREWELL;
        // Sessions were told by whoever they serve, and have some time to pass it on.
        let _ = self.done.recv_deadline(patience);
        for stream in self.shared.open().streams.values() {
            stream.shut_down();
        }
        let _ = self.done.recv_timeout(FAREWELL);
    }
}

fn accept<F>(listener: &Listener, shared: &Arc<Shared>, most: usize, session: &Arc<F>, alive: &Sender<()>)
where
    F: Fn(Peer) + Send + Sync + 'static,
{
    // A token for each session that may be open.
    let (give_back, tokens) = bounded(most);
    (0..most).for_each(|_| _ = give_back.send(()));
    loop {
        let _ = tokens.recv();
        let accepted = listener.accept();
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let served = accepted.and_then(|stream| serve(stream, shared, session, &give_back, alive));
        if served.is_err() {
            let _ = give_back.try_send(());
            thread::sleep(BREATH);
        }
    }
}

/// Starts the threads of a session.
fn serve<F>(
    stream: Stream,
    shared: &Arc<Shared>,
    session: &Arc<F>,
    give_back: &Sender<()>,
    alive: &Sender<()>,
) -> io::Result<()>
where
    F: Fn(Peer) + Send + Sync + 'static,
{
    let (mut reading, for_table) = (stream.try_clone()?, stream.try_clone()?);
    let (chunks, incoming) = bounded(CHUNKS_WAITING);
    let reader = thread::Builder::new().name("remote reader".into()).spawn(move || {
        let mut buffer = [0; CHUNK];
        loop {
            match reading.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) if chunks.send(buffer[..n].to_vec()).is_err() => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })?;
    let id = {
        let mut open = shared.open();
        open.next += 1;
        let id = open.next;
        open.streams.insert(id, for_table);
        id
    };
    let (session, shared, give_back, alive) =
        (session.clone(), shared.clone(), give_back.clone(), alive.clone());
    let peer = Peer { incoming, stream };
    let spawned = thread::Builder::new().name("remote session".into()).spawn({
        let shared = shared.clone();
        move || {
            let _alive = alive;
            session(peer);
            if let Some(stream) = shared.open().streams.remove(&id) {
                stream.shut_down();
            }
            let _ = reader.join();
            let _ = give_back.try_send(());
        }
    });
    if spawned.is_err()
        && let Some(stream) = shared.open().streams.remove(&id)
    {
        stream.shut_down();
    }
    spawned.map(|_| ())
}
