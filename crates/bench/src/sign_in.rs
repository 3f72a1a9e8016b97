//! Signing in: how many can a second, and what it does to everybody else meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::json;

use crate::client::{self, Account, Visitor};
use crate::farm::Hub;
use crate::stats::{Row, Table, slow};

/// Sign-ins one after the other.
const ALONE: usize = 64;
/// Sign-ins at once, and how many each makes.
const AT_ONCE: usize = 32;
const EACH: usize = 8;
/// Other requests while nobody signs in, and the pause between them.
const IDLE: usize = 1000;
const PAUSE: Duration = Duration::from_millis(5);

/// Asks for the list of nodes until it is told to stop; returns how long the answers took, in milliseconds.
async fn others(visitor: Visitor, stop: Arc<AtomicBool>, most: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) && times.len() < most {
        let begun = Instant::now();
        visitor.page("/nave/v1/nodes").await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}

/// Signs everybody in, so many at once; returns how many a second, how long each took, and how long others waited.
async fn measure(
    hub: &Hub,
    other: &Visitor,
    groups: &[Vec<Account>],
) -> anyhow::Result<(f64, Vec<f64>, Vec<f64>)> {
    let mut visitors = Vec::new();
    for _ in groups {
        visitors.push(Visitor::to(&hub.url()).await?);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let meanwhile = tokio::spawn(others(other.clone(), Arc::clone(&stop), usize::MAX));
    let begun = Instant::now();
    let signing_in: Vec<_> = visitors
        .into_iter()
        .zip(groups.to_vec())
        .map(|(mut visitor, accounts)| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                for account in &accounts {
                    let begun = Instant::now();
                    visitor.sign_in(account).await?;
                    times.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for one in signing_in {
        times.extend(one.await??);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    Ok((rate, times, meanwhile.await??))
}

pub async fn run() -> anyhow::Result<Table> {
    let hub = Hub::start(&[]).await?;
    let admin = client::administrator(&hub).await?;
    let accounts = client::operators(&hub, &admin, ALONE + AT_ONCE * EACH).await?;
    ensure!(accounts.iter().all(|account| account.cookie.is_some()), "somebody could not sign in");
    let new = json!({ "name": "bench", "role": "viewer", "scope": "*", "ttl_seconds": 3600 });
    let made = admin.api(Method::POST, "/nave/v1/tokens", &new).await?;
    let mut other = Visitor::to(&hub.url()).await?;
    other.token = Some(made["secret"].as_str().context("the token is told")?.to_owned());

    let idle = others(other.clone(), Arc::default(), IDLE).await?;
    let (alone, many) = accounts.split_at(ALONE);
    let groups: Vec<Vec<Account>> = many.chunks(EACH).map(<[Account]>::to_vec).collect();
    let one = measure(&hub, &other, &[alone.to_vec()]).await?;
    let all = measure(&hub, &other, &groups).await?;
    let told =
        |(rate, times, _): &(f64, Vec<f64>, Vec<f64>)| format!("{rate:.1} a second; {}", slow(times.clone()));
    Ok(Table {
        title: "Signing in",
        note: format!(
            "The password (Argon2id with 19 MiB and two passes, on all cores but one), the page that asks for the code, the code: {ALONE} people one after the other, then {AT_ONCE} at once with {EACH} each. Meanwhile somebody asks for `GET /nave/v1/nodes` by a token again and again. All run on the same cores."
        ),
        rows: vec![
            Row::new("one at a time", told(&one), ""),
            Row::new(format!("{AT_ONCE} at once"), told(&all), ""),
            Row::new("another request, while nobody signs in", slow(idle), ""),
            Row::new("another request, while one signs in", slow(one.2), ""),
            Row::new(format!("another request, while {AT_ONCE} sign in"), slow(all.2), ""),
        ],
    })
}
