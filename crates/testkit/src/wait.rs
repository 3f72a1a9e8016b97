//! Waiting for a state, never for a time.

use std::time::Duration;

/// How long a state may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `state` yields something; fails with `what` when it does not come.
pub async fn until<T, F>(what: &str, mut state: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let waiting = async {
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(reached) = state().await {
                return reached;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| anyhow::anyhow!("waited in vain until {what}"))
}
