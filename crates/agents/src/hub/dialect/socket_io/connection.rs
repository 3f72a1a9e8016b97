//! One connection of Engine.IO: what waits to be sent, on which transport, and how it ends. Transports take from it and
//! bring to it; what the packets say is for `namespaces`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_link::random::Random;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::application::Gone;
use super::engine::{BadPacket, FromClient, Text};
use super::namespaces::{Join, Namespaces};
use super::request::Transport;
use super::settings::{Endpoint, Settings};
use super::strangers::Stranger;

/// What a WebSocket writes at once: about as much as one record of TLS holds twice.
const BATCH: usize = 32 << 10;

/// What connections of one server share.
pub(super) struct Common {
    pub(super) settings: Settings,
    pub(super) tasks: TaskTracker,
    pub(super) random: Random,
    pub(super) join: Arc<dyn Join>,
}

/// One of them.
pub(super) struct Connection {
    pub(super) common: Arc<Common>,
    pub(super) sid: String,
    pub(super) source: IpAddr,
    pub(super) endpoint: &'static Endpoint,
    pub(super) namespaces: Mutex<Namespaces>,
    /// Room for what was read and nobody has dealt with yet, in bytes.
    pub(super) room: Arc<Semaphore>,
    state: Mutex<State>,
    /// The state changed in a way that a transport waits for.
    changed: Notify,
    /// Counts signs of life.
    heard: AtomicU64,
    hearing: Notify,
    /// How many readers wait for the application.
    held_back: AtomicUsize,
    /// Cancelled when it is to end.
    pub(super) closing: CancellationToken,
    /// Cancelled when the last words are said.
    pub(super) closed: CancellationToken,
}

struct State {
    queue: VecDeque<Text>,
    bytes: usize,
    carrier: Carrier,
    end: Option<Gone>,
    stranger: Option<Stranger>,
}

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Polling { polled: bool, posted: bool, upgrade: Upgrade },
    WebSocket,
}

/// How far a move to a WebSocket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    No,
    /// There is a WebSocket that has not proved itself.
    Tried,
    /// It has: the waiting poll is to be answered, so that the client moves.
    Proved,
}

/// A packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSent {
    Ended,
    /// Too much waits already; the caller is to close the connection.
    Slow,
}

/// What a poll is answered with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Polled {
    Packets(Vec<Text>),
    /// Nothing yet, and the client is to move to its WebSocket.
    Release,
    Nothing,
}

/// What a WebSocket writes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) packets: Vec<Text>,
    /// Why these are the last.
    pub(super) last: Option<Gone>,
}

/// What a client does that it must not, or cannot any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap;

impl Connection {
    pub(super) fn new(
        common: Arc<Common>,
        (sid, source, endpoint): (String, IpAddr, &'static Endpoint),
        transport: Transport,
        stranger: Stranger,
    ) -> Arc<Self> {
        let carrier = match transport {
            Transport::Polling => Carrier::Polling { polled: false, posted: false, upgrade: Upgrade::No },
            Transport::WebSocket => Carrier::WebSocket,
        };
        let state = State { queue: VecDeque::new(), bytes: 0, carrier, end: None, stranger: Some(stranger) };
        let room = common.settings.longest_message.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            common,
            sid,
            source,
            endpoint,
            namespaces: Mutex::new(Namespaces::new()),
            room: Arc::new(Semaphore::new(room)),
            state: Mutex::new(state),
            changed: Notify::new(),
            heard: AtomicU64::new(0),
            hearing: Notify::new(),
            held_back: AtomicUsize::new(0),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.common.settings
    }

    /// The first packet: what the client must know.
    pub(super) fn opening(&self) -> Text {
        let settings = self.settings();
        let upgrades: &[&str] = match self.transport() {
            Transport::Polling => &["websocket"],
            Transport::WebSocket => &[],
        };
        Text::open(&self.sid, upgrades, (settings.ping_every, settings.pong_within), settings.longest_message)
    }

    pub(super) fn transport(&self) -> Transport {
        match self.state().carrier {
            Carrier::Polling { .. } => Transport::Polling,
            Carrier::WebSocket => Transport::WebSocket,
        }
    }

    /// Somebody on it was let in.
    pub(super) fn no_stranger(&self) {
        let stranger = self.state().stranger.take();
        drop(stranger);
    }

    /// The longest message that is taken now.
    pub(super) fn longest(&self) -> usize {
        let settings = self.settings();
        if self.state().stranger.is_some() {
            settings.longest_first_message
        } else {
            settings.longest_message
        }
    }

    /// Queues a packet. Where too much waits, the caller must close the connection; not here, as it may hold locks.
    pub(super) fn push(&self, packet: Text) -> Result<(), NotSent> {
        let (bytes, packets) = self.settings().backlog;
        let mut state = self.state();
        if state.end.is_some() {
            return Err(NotSent::Ended);
        }
        if state.bytes >= bytes || state.queue.len() >= packets {
            return Err(NotSent::Slow);
        }
        state.bytes += packet.len();
        state.queue.push_back(packet);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Queues a packet and closes the connection of whoever is too slow.
    pub(super) fn send(&self, packet: Text) -> bool {
        let pushed = self.push(packet);
        if pushed == Err(NotSent::Slow) {
            self.close(Gone::Slow);
        }
        pushed.is_ok()
    }

    /// How much waits: packets and bytes.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let state = self.state();
        (state.queue.len(), state.bytes)
    }

    /// Ends it and all its sockets. What waits is still sent if the client takes it within a while.
    pub(super) fn close(&self, why: Gone) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        state.end = Some(why);
        if !matches!(why, Gone::Closed | Gone::Stopping | Gone::Late) {
            state.queue = VecDeque::new();
            state.bytes = 0;
        }
        let stranger = state.stranger.take();
        drop(state);
        drop(stranger);
        // Before its sockets end: whoever joins meanwhile sees it.
        self.closing.cancel();
        self.end_namespaces(why);
        self.changed.notify_waiters();
        self.hearing.notify_waiters();
        tracing::debug!(sid = %self.log_name(), source = %self.source, ?why, "a Socket.IO connection ends");
    }

    /// The beginning of its id: with the whole of it, whoever reads the log could speak for the client.
    fn log_name(&self) -> &str {
        self.sid.get(..6).unwrap_or_default()
    }

    /// A packet from the client. Waits for the application where it is behind.
    pub(super) async fn receive(self: &Arc<Self>, packet: &str) -> Result<(), BadPacket> {
        self.sign_of_life();
        match FromClient::parse(packet)? {
            FromClient::Message(message) => self.receive_message(message).await,
            FromClient::Close => {
                self.close(Gone::Lost);
                Ok(())
            }
            FromClient::Pong | FromClient::Upgrade | FromClient::Noop => Ok(()),
            FromClient::Probe => Err(BadPacket("a probe is for a WebSocket that is new")),
        }
    }

    /// The client sent what it must not.
    pub(super) fn misbehaved(&self, what: &dyn std::fmt::Display) {
        tracing::debug!(sid = %self.log_name(), source = %self.source, %what, "a Socket.IO client misbehaves");
        self.close(Gone::Misbehaved);
    }

    /// Bytes came.
    pub(super) fn sign_of_life(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.hearing.notify_waiters();
    }

    /// Marks that a reader waits for the application.
    pub(super) fn hold_back(&self) -> HeldBack<'_> {
        self.held_back.fetch_add(1, Ordering::Relaxed);
        HeldBack(self)
    }

    /// Pings, and waits for a sign of life. Who cannot be heard, as the application is behind, is taken for alive.
    pub(super) async fn alive(&self, within: Duration) -> bool {
        let before = self.heard.load(Ordering::Relaxed);
        if !self.send(Text::PING) {
            return false;
        }
        let answered = async {
            loop {
                let mut hearing = std::pin::pin!(self.hearing.notified());
                hearing.as_mut().enable();
                if self.heard.load(Ordering::Relaxed) != before || self.closing.is_cancelled() {
                    return;
                }
                hearing.await;
            }
        };
        let in_time = tokio::time::timeout(within, answered).await.is_ok();
        !self.closing.is_cancelled() && (in_time || self.held_back.load(Ordering::Relaxed) > 0)
    }

    /// Waits for what a transport waits for.
    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.state()) {
                return found;
            }
            changed.await;
        }
    }

    /// What a WebSocket writes next.
    pub(super) async fn next_batch(&self) -> Batch {
        self.wait(|state| {
            let mut packets = Vec::new();
            let mut bytes = 0;
            while bytes < BATCH
                && let Some(packet) = state.queue.pop_front()
            {
                bytes += packet.len();
                packets.push(packet);
            }
            state.bytes -= bytes;
            if state.queue.is_empty() {
                // What a burst needed is not kept for a client that is idle after it.
                state.queue = VecDeque::new();
            }
            let last = state.end.filter(|_| state.queue.is_empty());
            (last.is_some() || !packets.is_empty()).then_some(Batch { packets, last })
        })
        .await
    }

    /// Begins a poll, of which there is one at a time.
    pub(super) fn begin_poll(&self) -> Result<(), Overlap> {
        match &mut self.state().carrier {
            Carrier::Polling { polled, .. } if !*polled => {
                *polled = true;
                Ok(())
            }
            _ => Err(Overlap),
        }
    }

    pub(super) fn end_poll(&self) {
        if let Carrier::Polling { polled, .. } = &mut self.state().carrier {
            *polled = false;
        }
    }

    /// Begins a body of packets, of which there is one at a time.
    pub(super) fn begin_post(&self) -> Result<(), Overlap> {
        match &mut self.state().carrier {
            Carrier::Polling { posted, .. } if !*posted => {
                *posted = true;
                Ok(())
            }
            _ => Err(Overlap),
        }
    }

    pub(super) fn end_post(&self) {
        if let Carrier::Polling { posted, .. } = &mut self.state().carrier {
            *posted = false;
        }
    }

    /// What a poll is answered with. Says the last words where it ends.
    pub(super) fn poll(&self) -> Polled {
        let mut state = self.state();
        let Carrier::Polling { upgrade, .. } = state.carrier else {
            return Polled::Packets(vec![Text::NOOP]);
        };
        let mut packets: Vec<Text> = std::mem::take(&mut state.queue).into();
        state.bytes = 0;
        if state.end.is_some() {
            packets.push(Text::CLOSE);
            drop(state);
            self.closed.cancel();
        } else if packets.is_empty() {
            return if upgrade == Upgrade::Proved { Polled::Release } else { Polled::Nothing };
        }
        Polled::Packets(packets)
    }

    /// Waits until a poll can be answered.
    pub(super) async fn wait_for_poll(&self) {
        self.wait(|state| {
            let releases = matches!(
                state.carrier,
                Carrier::WebSocket | Carrier::Polling { upgrade: Upgrade::Proved, .. }
            );
            (releases || state.end.is_some() || !state.queue.is_empty()).then_some(())
        })
        .await;
    }

    /// Waits for something to answer a poll with but leave to move.
    pub(super) async fn wait_for_packet_or_move(&self) {
        self.wait(|state| {
            let stays = matches!(state.carrier, Carrier::Polling { upgrade: Upgrade::Proved, .. });
            (!stays || state.end.is_some() || !state.queue.is_empty()).then_some(())
        })
        .await;
    }

    /// A WebSocket for it comes, of which there is one at a time.
    pub(super) fn begin_upgrade(&self) -> Result<(), Overlap> {
        let mut state = self.state();
        match &mut state.carrier {
            Carrier::Polling { upgrade, .. } if *upgrade == Upgrade::No => {
                *upgrade = Upgrade::Tried;
                Ok(())
            }
            _ => Err(Overlap),
        }
    }

    /// That WebSocket has proved itself, or ended.
    pub(super) fn upgrade_goes(&self, on: bool) {
        if let Carrier::Polling { upgrade, .. } = &mut self.state().carrier {
            *upgrade = if on { Upgrade::Proved } else { Upgrade::No };
        }
        self.changed.notify_waiters();
    }

    /// The client has moved to it.
    pub(super) fn upgraded(&self) {
        self.state().carrier = Carrier::WebSocket;
        self.changed.notify_waiters();
    }

    /// Pings until the client is silent, and until it stays in no namespace for too long.
    pub(super) async fn watch(&self) -> Gone {
        let settings = self.settings();
        let mut ping_at = tokio::time::Instant::now() + settings.ping_every;
        let mut pinged: Option<u64> = None;
        loop {
            let alone = self.alone_since().map(|since| since + settings.join_within);
            let wake = alone.map_or(ping_at, |alone| alone.min(ping_at));
            tokio::time::sleep_until(wake).await;
            let now = tokio::time::Instant::now();
            if self.alone_since().is_some_and(|since| now >= since + settings.join_within) {
                return Gone::Late;
            }
            if now < ping_at {
                continue;
            }
            let heard = self.heard.load(Ordering::Relaxed);
            if pinged.is_some_and(|before| before == heard) {
                if self.held_back.load(Ordering::Relaxed) == 0 {
                    return Gone::Silent;
                }
                ping_at = now + settings.pong_within;
            } else if pinged.take().is_some() {
                ping_at = now + settings.ping_every.saturating_sub(settings.pong_within);
            } else {
                self.send(Text::PING);
                pinged = Some(heard);
                ping_at = now + settings.pong_within;
            }
        }
    }
}

/// A reader waits for the application, until this is dropped.
pub(super) struct HeldBack<'a>(&'a Connection);

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        self.0.held_back.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
