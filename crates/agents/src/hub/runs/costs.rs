//! What agents cost: written batch by batch, added up for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::Op;
use time::{Duration, OffsetDateTime};

use super::store;
use crate::api::{CostEntry, CostSum, Nanodollars, RunKey};
use crate::hub::live::Happening;
use crate::hub::{Agents, READ, RUN, hosts};

/// The most entries of one batch.
const MOST: usize = 10_000;

/// What a host brought in one message.
pub(in crate::hub) struct CostBatch {
    pub(in crate::hub) host: Option<i64>,
    pub(in crate::hub) entries: Vec<CostEntry>,
    /// What makes it another than one with the same entries, where its host counts its batches.
    pub(in crate::hub) number: Option<u64>,
    /// Whether it may be one that was written before: its host's connection broke before an answer.
    pub(in crate::hub) may_be_again: bool,
}

/// Writes a batch; whose it was. Costs of agents for which whoever asks may not write are an error, and then nothing is
/// written: money is not left out silently.
pub(in crate::hub) async fn write_costs(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    batch: CostBatch,
) -> Result<Vec<i64>> {
    access::require(op, RUN)?;
    if batch.entries.len() > MOST {
        return Err(Error::invalid("entries", format!("must be at most {MOST}")));
    }
    let mut whose: Vec<i64> = batch.entries.iter().map(|entry| entry.key.agent).collect();
    whose.sort_unstable();
    whose.dedup();
    for agent in &whose {
        hosts::require_to_run(op, agents, *agent)?;
    }
    let is_less = |entry: &CostEntry| {
        let tokens = [entry.input, entry.output, entry.cache_write, entry.cache_read];
        entry.cost.0 < 0 || tokens.iter().any(|count| *count < 0)
    };
    if batch.entries.iter().any(is_less) {
        // Else a host could give its agents more to spend.
        return Err(Error::invalid("entries", "costs and tokens must be 0 or more"));
    }
    if batch.entries.is_empty() {
        return Ok(whose);
    }
    let hash = hash(batch.number, &batch.entries);
    let now = op.clock.now();
    let mut sums: BTreeMap<RunKey, i64> = BTreeMap::new();
    for entry in &batch.entries {
        let sum = sums.entry(entry.key).or_default();
        *sum = sum.saturating_add(entry.cost.0);
    }
    let counting = agents.budgets().counting().await;
    let mut act = hub.store.begin().await?;
    if let Some(host) = batch.host {
        if batch.may_be_again && store::cost_hash(&mut act, host).await?.as_deref() == Some(hash.as_str()) {
            return Ok(whose);
        }
        store::put_cost_hash(&mut act, host, &hash).await?;
    }
    let first = agents.counters().cost.take(batch.entries.len());
    store::insert_costs(&mut act, first, batch.host, &batch.entries, now).await?;
    store::add_to_sessions(&mut act, &sums, now).await?;
    act.commit().await?;
    let sums: Arc<[(RunKey, Nanodollars)]> =
        sums.into_iter().map(|(key, sum)| (key, Nanodollars(sum))).collect();
    for (key, sum) in &*sums {
        agents.budgets().spent(key.agent, *sum, now);
    }
    drop(counting);
    agents.live().tell(&Happening::Costs(sums));
    Ok(whose)
}

fn hash(number: Option<u64>, entries: &[CostEntry]) -> String {
    let mut digest = Context::new(&SHA256);
    if let Some(number) = number {
        digest.update(&number.to_be_bytes());
    }
    for entry in entries {
        let RunKey { agent, run, session } = entry.key;
        for number in [
            agent,
            run,
            session,
            entry.cost.0,
            entry.input,
            entry.output,
            entry.cache_write,
            entry.cache_read,
        ] {
            digest.update(&number.to_be_bytes());
        }
        for text in [entry.source.word(), &entry.model] {
            digest.update(text.as_bytes());
            digest.update(&[0]);
        }
    }
    hex::encode(digest.finish())
}

/// The most spans of one answer.
const MOST_SPANS: i32 = 1000;

/// What was spent from one time to another, by agent and model, in spans of equal length.
pub async fn cost_sums(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    from: OffsetDateTime,
    until: OffsetDateTime,
    span: Duration,
) -> Result<Vec<CostSum>> {
    access::require(op, READ)?;
    if span < Duration::minutes(1) || until <= from || (until - from) / span > f64::from(MOST_SPANS) {
        return Err(Error::invalid(
            "span",
            format!("must be a minute or more, and at most {MOST_SPANS} of them"),
        ));
    }
    let sums = store::cost_sums(&mut hub.store.read().await?, from, until, span).await?;
    let rows = agents.directory().read();
    let named = |sum: store::Sum| {
        let agent = rows.agent(sum.agent)?.name().to_owned();
        Some(CostSum {
            from: sum.from,
            agent,
            model: sum.model,
            cost: Nanodollars(sum.cost),
            tokens: sum.tokens,
        })
    };
    Ok(sums.into_iter().filter_map(named).collect())
}

/// What an agent spent since a time; everybody, without an agent.
pub async fn costs_of(
    op: &Op,
    hub: &Hub,
    agent: Option<i64>,
    since: Option<OffsetDateTime>,
) -> Result<Nanodollars> {
    access::require(op, READ)?;
    store::spent(&mut hub.store.read().await?, agent, since).await.map(Nanodollars)
}
