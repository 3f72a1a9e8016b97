//! The bus: how one part of the hub tells others that something happened. Messages are hints and may be lost; the
//! truth is in the store. This is the form within one process; one between hubs can stand behind the same trait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// Messages that a subscriber may be behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// What is told: text, JSON by convention.
pub type Message = Arc<str>;

/// Tells every subscriber of a topic.
pub trait Bus: Send + Sync + 'static {
    /// Tells those who listen now; never waits for them.
    fn publish(&self, topic: &'static str, message: Message);

    /// Hears what is published from now on.
    fn subscribe(&self, topic: &'static str) -> Subscription;
}

/// One listener's end.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Message>);

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The next message.
    Message(Message),
    /// This many were lost because the listener was too slow: it has to look at the store again.
    Lagged(u64),
}

impl Subscription {
    /// Waits for the next message; `None` when the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(message) => Some(Heard::Message(message)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Heard::Lagged(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The bus of a single process.
#[derive(Debug, Default)]
pub struct LocalBus {
    topics: Mutex<HashMap<&'static str, broadcast::Sender<Message>>>,
}

impl Bus for LocalBus {
    fn publish(&self, topic: &'static str, message: Message) {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(topic) {
            // Nobody listening is no failure.
            let _ = sender.send(message);
        }
    }

    fn subscribe(&self, topic: &'static str) -> Subscription {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = topics.entry(topic).or_insert_with(|| broadcast::Sender::new(BACKLOG));
        Subscription(sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_subscriber_of_a_topic_hears_it_in_order() {
        let bus = LocalBus::default();
        bus.publish("a", "unheard".into());
        let (mut one, mut two, mut other) = (bus.subscribe("a"), bus.subscribe("a"), bus.subscribe("b"));
        bus.publish("a", "first".into());
        bus.publish("a", "second".into());
        for listener in [&mut one, &mut two] {
            assert_eq!(listener.next().await, Some(Heard::Message("first".into())));
            assert_eq!(listener.next().await, Some(Heard::Message("second".into())));
        }
        drop(bus);
        assert_eq!(other.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_subscriber_learns_how_much_it_lost() {
        let bus = LocalBus::default();
        let mut slow = bus.subscribe("a");
        for number in 0..BACKLOG + 3 {
            bus.publish("a", number.to_string().into());
        }
        assert_eq!(slow.next().await, Some(Heard::Lagged(3)));
        assert_eq!(slow.next().await, Some(Heard::Message("3".into())));
    }
}
