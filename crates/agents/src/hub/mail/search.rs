//! Keeping the index of words whole. The statements are in `store`.
//!
//! Each mail is taken up with the group that writes it. Those that the index lacks, as after a backup was put back, which holds
//! none, are taken up in the order of their numbers, behind the last one that is there: a few before the hub is ready, many
//! while it runs. Until then new ones wait for their turn, so that nothing is passed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::op::Op;
use nave_core::hub::store::Act;

use super::Posted;
use super::store::words;
pub(super) use super::store::words::find;
use crate::hub::{Agents, MANAGE};

/// How many mails are taken up at once. Others who write wait meanwhile.
const STEP: i64 = 250;
/// How many are before the hub is ready, and then in each run of the job.
pub(in crate::hub) const AT_ONCE: i64 = 20_000;

/// How the index of words is.
#[derive(Default)]
pub(in crate::hub) struct WordIndex {
    /// Whether it may lack mails that are written already.
    behind: AtomicBool,
}

impl WordIndex {
    pub(in crate::hub) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    pub(in crate::hub) fn set_behind(&self) {
        self.behind.store(true, Ordering::Release);
    }
}

/// Takes up some of what the index lacks; how much.
pub(in crate::hub) async fn take_up(op: &Op, hub: &Hub, agents: &Agents, most: i64) -> Result<usize> {
    access::require(op, MANAGE)?;
    let index = agents.word_index();
    let mut taken = 0;
    for _ in 0..(most / STEP).max(1) {
        if !index.is_behind() {
            break;
        }
        let mut act = hub.store.begin().await?;
        let count = words::take_up(&mut act, STEP).await?;
        act.commit().await?;
        taken += count;
        if count == 0 {
            index.behind.store(false, Ordering::Release);
        }
    }
    Ok(taken)
}

/// Takes up the mails of a group, which is written already.
pub(super) async fn insert(act: &mut Act, agents: &Agents, group: &[Arc<Posted>]) -> Result<()> {
    if !agents.word_index().is_behind() {
        return words::insert(act, group).await;
    }
    let last = words::last(act).await?;
    if !words::lacks(act, last, group).await? {
        return words::insert(act, group).await;
    }
    // Whatever is not behind the last one would never be looked for again.
    let passed: Vec<Arc<Posted>> = group.iter().filter(|posted| posted.id < last).cloned().collect();
    words::insert(act, &passed).await
}
