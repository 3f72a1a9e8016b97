//! Many pages that stay live while much happens: what they cost the hub, and how soon each is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::Method;
use http_body_util::BodyExt as _;
use nave_core::api::Event;
use nave_core::clock::{Clock, to_millis};
use nave_testkit::wait::until;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::client::{self, Visitor};
use crate::farm::Hub;
use crate::stats::{Row, Table, slow};

/// How many pages are open, and by how many people.
const PAGES: usize = 500;
const PEOPLE: usize = 100;
/// How many events there are a second, and for how long.
const A_SECOND: u32 = 100;
const SECONDS: u32 = 30;
/// The most events that the API tells at once.
const AT_ONCE: usize = 1000;

/// What one page is told: when, in milliseconds since 1970, and up to which event.
type Heard = Arc<Mutex<Vec<(i64, i64)>>>;

/// What all pages have in common.
#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    /// Whether they ask for what changed, as browsers do.
    asks: AtomicBool,
    /// How long the answers took, in milliseconds.
    answers: Mutex<Vec<f64>>,
}

struct Page {
    heard: Heard,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Page {
    async fn open(hub: &Hub, cookie: Option<String>, shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let visitor = Visitor::with_cookie(&hub.url(), cookie).await?;
        let heard = Heard::default();
        let task = tokio::spawn(listen(visitor, Arc::clone(&heard), Arc::clone(shared)));
        Ok(Self { heard, task })
    }

    fn heard(&self) -> Vec<(i64, i64)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(visitor: Visitor, heard: Heard, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut body = visitor.get("/live").await?.into_body();
    let (clock, mut text) = (Clock::system(), String::new());
    let asking = Arc::new(AtomicBool::new(false));
    while let Some(frame) = body.frame().await {
        let now = to_millis(clock.now());
        text.push_str(std::str::from_utf8(frame?.data_ref().context("data")?)?);
        while let Some((message, rest)) = text.split_once("\n\n") {
            if message.starts_with("retry:") {
                shared.open.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(id) = message.lines().find_map(|line| line.strip_prefix("id: ")) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push((now, id.parse()?));
                if shared.asks.load(Ordering::Relaxed) && !asking.swap(true, Ordering::Relaxed) {
                    tokio::spawn(ask(visitor.clone(), Arc::clone(&asking), Arc::clone(&shared)));
                }
            }
            text = rest.to_owned();
        }
    }
    Ok(())
}

/// Asks for the page anew, unless an answer is still on its way.
async fn ask(visitor: Visitor, asking: Arc<AtomicBool>, shared: Arc<Shared>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let answer = visitor.page("/audit").await;
    asking.store(false, Ordering::Relaxed);
    answer?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    shared.answers.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    Ok(())
}

/// Lets much happen, at an even pace: each change of a node's labels is one event. Returns the share of one core that the
/// hub needed, in percent.
async fn happen(hub: &Hub, admin: &Visitor) -> anyhow::Result<f64> {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / A_SECOND);
    let (begun, before) = (Instant::now(), hub.cpu()?);
    let mut changes = FuturesUnordered::new();
    for number in 0..A_SECOND * SECONDS {
        pace.tick().await;
        let admin = admin.clone();
        changes.push(tokio::spawn(async move {
            let labels = json!({ "labels": { "number": number.to_string() } });
            admin.api(Method::PATCH, "/nave/v1/nodes/lab", &labels).await
        }));
    }
    while let Some(change) = changes.next().await {
        change??;
    }
    let (took, used) = (begun.elapsed(), hub.cpu()?.saturating_sub(before));
    ensure!(took < Duration::from_secs(u64::from(SECONDS) + 2), "the hub did not keep up: {took:?}");
    Ok(used.as_secs_f64() / took.as_secs_f64() * 100.0)
}

/// The events after one, by number and time.
async fn events(admin: &Visitor, mut after: i64) -> anyhow::Result<Vec<(i64, i64)>> {
    let mut all = Vec::new();
    loop {
        let path = format!("/nave/v1/events?after={after}&limit={AT_ONCE}");
        let events: Vec<Event> = serde_json::from_slice(&admin.page(&path).await?)?;
        all.extend(events.iter().map(|event| (event.id, to_millis(event.at))));
        match events.last() {
            Some(last) => after = last.id,
            None => return Ok(all),
        }
    }
}

async fn last_event(admin: &Visitor) -> anyhow::Result<i64> {
    let events: Vec<Event> = serde_json::from_slice(&admin.page("/nave/v1/events?limit=1").await?)?;
    Ok(events.first().context("something has happened")?.id)
}

/// How long it took until a page was told of each event, in milliseconds; and how many it was never told of.
fn delays(events: &[(i64, i64)], heard: &[(i64, i64)]) -> (Vec<f64>, usize) {
    let mut told = heard.iter().peekable();
    let mut delays = Vec::with_capacity(events.len());
    for (id, at) in events {
        while told.next_if(|(_, last)| last < id).is_some() {}
        match told.peek() {
            Some((when, _)) => delays.push((when - at) as f64),
            None => break,
        }
    }
    let lost = events.len() - delays.len();
    (delays, lost)
}

pub async fn run() -> anyhow::Result<Table> {
    let mut hub = Hub::start(&[]).await?;
    hub.invite(&["--name", "lab"]).await?;
    let admin = client::administrator(&hub).await?;
    let people = client::operators(&hub, &admin, PEOPLE).await?;
    // What signing in took of memory, and gave back to the process, would hide what pages take.
    hub.kill().await?;
    hub.launch().await?;
    let admin = Visitor::with_cookie(&hub.url(), admin.cookie.clone()).await?;
    let without = happen(&hub, &admin).await?;

    let before = hub.memory()?;
    let shared = Arc::new(Shared::default());
    let mut pages = Vec::with_capacity(PAGES);
    for number in 0..PAGES {
        pages.push(Page::open(&hub, people[number % PEOPLE].cookie.clone(), &shared).await?);
    }
    let all_open = || async { (shared.open.load(Ordering::Relaxed) == PAGES).then_some(()) };
    until("the pages are live", all_open).await?;
    let opened = hub.memory()?;

    let first = last_event(&admin).await?;
    let with = happen(&hub, &admin).await?;
    let last = last_event(&admin).await?;
    let told = |page: &Page| page.heard().last().is_some_and(|(_, id)| *id >= last);
    let all_told = || async { pages.iter().all(told).then_some(()) };
    // What was not told by then is counted as lost.
    until("the pages are told", all_told).await.ok();
    let events = events(&admin, first).await?;
    let after = hub.memory()?;
    let (mut late, mut lost) = (Vec::new(), 0);
    for page in &pages {
        let (delays, missed) = delays(&events, &page.heard());
        late.extend(delays);
        lost += missed;
    }

    shared.asks.store(true, Ordering::Relaxed);
    let asking = happen(&hub, &admin).await?;
    let answers = std::mem::take(&mut *shared.answers.lock().unwrap_or_else(PoisonError::into_inner));
    ensure!(!answers.is_empty(), "no page asked");
    let count = pages.iter().filter(|page| !page.task.is_finished()).count();
    let per_page = |kb: u64| format!("{:.1} kB", kb.saturating_sub(before) as f64 / PAGES as f64);
    let a_second = answers.len() as f64 / f64::from(SECONDS);
    Ok(Table {
        title: "Live pages",
        note: format!(
            "{PAGES} pages of {PEOPLE} people, each with a connection of its own (TLS, HTTP/2), and {A_SECOND} events a second for {SECONDS} s. Times are from the event to when the page is told; the more pages are open, the more events the hub tells at once. At last each page asks for the audit log when it is told of something, as it does in a browser. The pages run on the same cores."
        ),
        rows: vec![
            Row::new("memory of the hub per open page", per_page(opened), ""),
            Row::new("memory of the hub per open page, after all those events", per_page(after), ""),
            Row::new("the hub's share of one core, with no page open", format!("{without:.0} %"), ""),
            Row::new("the hub's share of one core, with all open", format!("{with:.0} %"), ""),
            Row::new("until a page is told", slow(late), ""),
            Row::new(
                "events that a page was not told of",
                format!("{lost} of {}", events.len() * PAGES),
                "none",
            ),
            Row::new("the hub's share of one core, when they ask", format!("{asking:.0} %"), ""),
            Row::new("answers to pages that ask", format!("{}, {a_second:.0} a second", slow(answers)), ""),
            Row::new("pages still live at the end", format!("{count} of {PAGES}"), "all"),
        ],
    })
}
