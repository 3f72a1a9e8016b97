//! `/metrics` in the Prometheus text format: for loopback, or whoever holds the token of `metrics.token_file`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use nave_link::secret_file;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use subtle::ConstantTimeEq as _;

use super::context::Hub;
use super::edge::{Connection, LocalPeer};
use super::error::{Error, Result};
use super::fleet::{Fleet, Measure};
use super::http::{Access, Routes};
use super::{job, mail, nodes};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted while it happens; the rest is looked at when somebody asks.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests answered, by the first digit of their status.
    answers: [AtomicU64; 6],
    /// Nodes that were let in.
    pub links: AtomicU64,
    /// Streams that were opened.
    pub streams: AtomicU64,
    /// Bytes that streams sent through this hub.
    pub relayed_bytes: AtomicU64,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).min(5);
        self.answers[class].fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Class {
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobName {
    job: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Part {
    part: &'static str,
}

/// The route.
pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/metrics", Access::Metrics, metrics)
}

async fn metrics(
    State(hub): State<Arc<Hub>>,
    connection: Option<Extension<Connection>>,
    local: Option<Extension<LocalPeer>>,
    headers: HeaderMap,
) -> Result<Response> {
    let source = connection.map(|connection| connection.peer.ip());
    let loopback = source.is_some_and(|source| source.is_loopback());
    if !loopback && local.is_none() && !holds_token(hub.metrics_token.as_ref(), &headers)? {
        let shown = source.and_then(|source| describe_fleets(&hub, |fleet| fleet.shows_measures_to(source)));
        if let Some(registry) = shown {
            return answer(&registry);
        }
        return Err(Error::Unauthenticated(
            "metrics are for loopback, or for whoever sends the token of metrics.token_file as a bearer token".to_owned(),
        ));
    }
    answer(&describe(&hub).await?)
}

fn answer(registry: &Registry) -> Result<Response> {
    let mut text = String::new();
    encode(&mut text, registry).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// What some of the fleets count, under names of their own; `None` if none of them counts anything.
fn describe_fleets(hub: &Hub, which: impl Fn(&dyn Fleet) -> bool) -> Option<Registry> {
    let mut registry = Registry::default();
    let fleets = hub.fleets.iter().filter(|fleet| which(fleet.as_ref()));
    let measures: Vec<Measure> = fleets.flat_map(|fleet| fleet.measures(hub)).collect();
    for measure in &measures {
        registry.register(measure.name, measure.help, gauge(measure.value));
    }
    (!measures.is_empty()).then_some(registry)
}

fn gauge(value: usize) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

/// The file is read every time, so that a new token holds at once.
fn holds_token(file: Option<&PathBuf>, headers: &HeaderMap) -> Result<bool> {
    let Some(file) = file else { return Ok(false) };
    let token = secret_file::read_private(file, None).map_err(Error::internal)?;
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let token = token.trim();
    Ok(!token.is_empty() && bool::from(token.as_bytes().ct_eq(shown.as_bytes())))
}

async fn describe(hub: &Hub) -> Result<Registry> {
    let mut all = describe_fleets(hub, |_| true).unwrap_or_default();
    let registry = all.sub_registry_with_prefix("nave");
    let counter = |value: &AtomicU64| {
        let counter: Counter = Counter::default();
        counter.inc_by(value.load(Ordering::Relaxed));
        counter
    };
    let build = Family::<Version, Gauge>::default();
    build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
    registry.register("build_info", "The running program", build);
    let (members, _) = nodes::lost(hub).await?;
    registry.register("nodes", "Nodes that are members", gauge(members));
    registry.register("nodes_connected", "Nodes that are connected", gauge(hub.presence.count()));
    registry.register("streams", "Streams under way", gauge(hub.streams.count()));
    registry.register("links_opened", "Nodes that were let in", counter(&hub.metrics.links));
    registry.register("streams_opened", "Streams that were opened", counter(&hub.metrics.streams));
    registry.register_with_unit(
        "relayed",
        "What ended streams sent through this hub, in both directions",
        Unit::Bytes,
        counter(&hub.metrics.relayed_bytes),
    );
    let standing = mail::standing(hub).await?;
    for (name, help, value) in [
        ("mails_waiting", "Mails that no server took yet", standing.waiting),
        ("mails_failed", "Mails that were refused or given up", standing.failed),
    ] {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    let database = Family::<Part, Gauge>::default();
    for (part, store) in [("main", &hub.store), ("bulk", &hub.bulk)] {
        // What cannot be asked at the moment is left out, and the rest told.
        if let Ok(size) = store.size().await {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            database.get_or_create(&Part { part }).set(size);
        }
    }
    registry.register_with_unit("database", "What the database takes, in its parts", Unit::Bytes, database);
    let answers = Family::<Class, Counter>::default();
    for (class, count) in hub.metrics.answers.iter().enumerate().skip(1) {
        answers.get_or_create(&Class { class: format!("{class}xx") }).inc_by(count.load(Ordering::Relaxed));
    }
    registry.register("http_answers", "Requests answered, by class of status", answers);
    let failures = Family::<JobName, Gauge>::default();
    for job in job::list(hub) {
        failures.get_or_create(&JobName { job: job.name }).set(i64::from(job.failures));
    }
    registry.register("job_failures", "How often in a row a background job failed", failures);
    Ok(all)
}
