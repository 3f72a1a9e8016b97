//! The bus: what one part of the hub tells the others the moment it is true. Today within the process; a trait, so
//! that several hubs can share one. It carries no truth: whoever missed something reads the store.

use std::sync::Arc;

use tokio::sync::broadcast;

/// What is told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The topic: `event`, `node`, `stream`, `key`, `task`, or a fleet's name and a word of its own.
    pub topic: &'static str,
    /// The noun's id, or the number of an event.
    pub key: String,
}

/// Hears notices in order. A receiver that is too slow learns how many it missed.
pub type Subscription = broadcast::Receiver<Notice>;

/// Tells and hears.
pub trait Bus: Send + Sync {
    /// Tells whoever listens now.
    fn publish(&self, notice: Notice);

    /// Hears everything that is told from now on.
    fn subscribe(&self) -> Subscription;
}

/// The bus of a single hub.
#[derive(Debug)]
pub struct LocalBus(broadcast::Sender<Notice>);

/// How far a subscriber may fall behind before it loses notices.
const CAPACITY: usize = 1024;

impl LocalBus {
    /// A bus on which nobody listens yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(broadcast::Sender::new(CAPACITY)))
    }
}

impl Bus for LocalBus {
    fn publish(&self, notice: Notice) {
        // An error means that nobody listens, which is fine.
        let _ = self.0.send(notice);
    }

    fn subscribe(&self) -> Subscription {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(key: usize) -> Notice {
        Notice { topic: "event", key: key.to_string() }
    }

    #[tokio::test]
    async fn notices_arrive_in_order_and_a_slow_subscriber_learns_what_it_missed() {
        let bus = LocalBus::new();
        bus.publish(notice(0));
        let mut subscription = bus.subscribe();
        bus.publish(notice(1));
        assert_eq!(subscription.recv().await.unwrap().key, "1");
        for key in 0..CAPACITY + 5 {
            bus.publish(notice(key));
        }
        assert!(matches!(subscription.recv().await, Err(broadcast::error::RecvError::Lagged(5))));
    }
}
