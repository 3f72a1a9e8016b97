//! Keeping the index of words whole. The statements are in `store`.

use super::store::words;
pub(super) use super::store::words::{find, insert};
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::op::Op;

use crate::hub::MANAGE;

/// How many mails are taken up at once.
const STEP: i64 = 1000;

/// Takes up what is missing, as after a backup was put back, which holds no index.
pub(in crate::hub) async fn refill(op: &Op, hub: &Hub) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut filled = 0;
    loop {
        let mut act = hub.store.begin().await?;
        let count = words::take_up(&mut act, STEP).await?;
        act.commit().await?;
        filled += count;
        if count == 0 {
            break;
        }
    }
    if filled > 0 {
        tracing::info!(filled, "mails were taken up into the index of their words");
    }
    Ok(())
}
