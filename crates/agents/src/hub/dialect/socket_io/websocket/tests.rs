//! What an idle connection costs.

use std::sync::{Arc, Mutex, PoisonError};

use nave_link::random::Random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::task::TaskTracker;

use super::super::application::{Application, Asking, Event, Gone, Verdict};
use super::super::connection::{Common, Connection};
use super::super::namespaces::Joining;
use super::super::request::Transport;
use super::super::settings::{Endpoint, Settings};
use super::super::socket::Socket;
use super::super::strangers::Strangers;
use super::frame::{self, Kind};

const ENDPOINT: Endpoint = Endpoint { path: "/socket.io/", namespaces: &["/naisys"] };
const MANY: usize = 400;

#[derive(Default)]
struct Keeps(Mutex<Vec<Socket>>);

impl Application for Keeps {
    type Session = ();

    async fn connect(&self, asking: Asking) -> Verdict<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(asking.socket);
        Verdict::Accept(())
    }

    async fn event(&self, (): &(), _: Event) {}

    async fn gone(&self, (): (), _: Gone) {}
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn idle_connections_fit_into_little_memory() {
    let settings = Settings::new(&[ENDPOINT], 4 << 20);
    let strangers = Strangers::new((MANY, MANY));
    let common = Arc::new(Common {
        settings,
        tasks: TaskTracker::new(),
        random: Random::system(),
        join: Arc::new(Joining { application: Arc::new(Keeps::default()) }),
    });
    let mut clients = Vec::with_capacity(MANY);
    let mut before = 0;
    for n in 0..MANY {
        if n == MANY / 4 {
            // By then the runtime and the allocator have what they need at all.
            before = resident();
        }
        let (mut client, hub) = UnixStream::pair().unwrap();
        let source = [127, 0, 0, 1].into();
        let stranger = strangers.enter(source).unwrap();
        let connection = Connection::new(
            Arc::clone(&common),
            (n.to_string(), source, &ENDPOINT),
            Transport::WebSocket,
            stranger,
        );
        tokio::spawn(super::serve(Arc::clone(&connection), hub));
        tokio::spawn(async move { connection.watch().await });
        let mut frame = Vec::new();
        frame::write(&mut frame, Kind::Text, b"40/naisys,{}");
        // With a mask that changes nothing.
        frame[1] |= 0x80;
        frame.splice(2..2, [0; 4]);
        client.write_all(&frame).await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\"}") || !heard.windows(10).any(|part| part == b"40/naisys,") {
            assert!(client.read_buf(&mut heard).await.unwrap() > 0);
        }
        clients.push(client);
    }
    let each = resident().saturating_sub(before) / (MANY - MANY / 4);
    assert_eq!(strangers.count(), 0);
    assert!(each < 20_000, "an idle connection takes {each} bytes");
}
