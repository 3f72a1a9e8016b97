//! The hub's operator's everyday commands: status, keys, invitations, streams, the audit log.

use http::Method;
use nave_core::api;
use serde_json::json;

use super::node::moment;
use super::{AlreadySaid, Context};
use crate::cli::{Audit, Invite, Key, Stream};
use crate::client::segment;

pub async fn status(context: &Context<'_>) -> anyhow::Result<()> {
    let checks = match context.hub().await {
        Ok(hub) => hub.get("/nave/v1/checks").await?,
        Err(error) => without_hub(context, &error),
    };
    let failed = checks.iter().any(|check: &api::Check| check.verdict == api::Verdict::Fail);
    let cells = |check: &api::Check| {
        let verdict = match check.verdict {
            api::Verdict::Pass => "PASS",
            api::Verdict::Warn => "WARN",
            api::Verdict::Fail => "FAIL",
        };
        vec![verdict.to_owned(), check.name.clone(), check.message.clone()]
    };
    context.printer.rows(&checks, &["", "WHAT", "HOW IT IS"], cells, "")?;
    if failed { Err(AlreadySaid.into()) } else { Ok(()) }
}

/// What can be seen of a hub that does not run.
fn without_hub(context: &Context<'_>, error: &anyhow::Error) -> Vec<api::Check> {
    let hub = api::Check { name: "hub".to_owned(), verdict: api::Verdict::Fail, message: error.to_string() };
    let mut checks = vec![hub];
    if context.data.exists() {
        checks.push(nave_core::hub::status::folder(&context.data));
        checks.push(nave_core::hub::status::disk(&context.data));
    }
    checks
}

pub async fn key(context: &Context<'_>, command: Key) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    let key: api::KeyText = match command {
        Key::Show { full } => hub.get(&format!("/nave/v1/access-key?full={full}")).await?,
        Key::Rotate { grace } => {
            let request = api::KeyRotation { grace_seconds: grace.0.as_secs() };
            let key = hub.post("/nave/v1/access-key/rotate", &request).await?;
            let old = if grace.0.is_zero() {
                "the old key ended".to_owned()
            } else {
                format!("the old key ends in {grace}")
            };
            context.printer.talk(format!("nave: {old}; live connections stay"));
            key
        }
        Key::RotateMaster => {
            hub.act(Method::POST, "/nave/v1/master-key/rotate", &json!({})).await?;
            context
                .printer
                .talk("nave: the master key is replaced; make a new backup, older ones hold the old key");
            return Ok(());
        }
    };
    if context.printer.is_json() {
        return context.printer.value(&key);
    }
    context.printer.data(&key.key);
    Ok(())
}

pub async fn invite(context: &Context<'_>, args: Invite) -> anyhow::Result<()> {
    let request = api::InviteRequest {
        name: args.name,
        roles: args.roles,
        grants: args
            .open
            .iter()
            .map(|target| api::GrantRequest { action: "open".to_owned(), scope: target.to_string() })
            .collect(),
        ttl_seconds: Some(args.ttl.0.as_secs()),
        uses: Some(args.uses),
    };
    let invitation: api::Invitation = context.hub().await?.post("/nave/v1/invites", &request).await?;
    if context.printer.is_json() {
        return context.printer.value(&invitation);
    }
    context.printer.data(format!("nave join {} --token {}", invitation.url, invitation.token));
    context.printer.talk(format!(
        "nave: paste that line on the other machine; it is good until {}",
        moment(invitation.expires_at)
    ));
    Ok(())
}

pub async fn stream(context: &Context<'_>, command: Stream) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    match command {
        Stream::List => {
            let streams: Vec<api::Stream> = hub.get("/nave/v1/streams").await?;
            let columns = ["ID", "FROM", "TO", "TARGET", "PATH", "SENT", "RECEIVED", "SINCE"];
            let cells = |stream: &api::Stream| {
                vec![
                    stream.id.clone(),
                    stream.from.clone(),
                    stream.to.clone(),
                    stream.target.clone(),
                    stream.path.to_string(),
                    stream.sent.to_string(),
                    stream.received.to_string(),
                    moment(stream.since),
                ]
            };
            context.printer.rows(&streams, &columns, cells, "no streams at the moment")
        }
        Stream::Cut { id } => {
            hub.act(Method::DELETE, &format!("/nave/v1/streams/{}", segment(&id)), &json!({})).await?;
            context.printer.talk(format!("nave: {id} is cut"));
            Ok(())
        }
    }
}

pub async fn audit(context: &Context<'_>, args: Audit) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    let since = args.since.map(|since| nave_core::clock::Clock::system().now() - since.0);
    let filter = |after: Option<i64>, limit: u32| {
        let mut query = format!("/nave/v1/events?limit={limit}");
        for (name, value) in [("action", &args.action), ("actor", &args.actor), ("object", &args.object)] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", segment(value)));
            }
        }
        if let Some(since) = since {
            let text = since.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
            query.push_str(&format!("&since={}", segment(&text)));
        }
        if let Some(after) = after {
            query.push_str(&format!("&after={after}"));
        }
        query
    };
    if args.export {
        let mut after = 0;
        loop {
            let page: Vec<api::Event> = hub.get(&filter(Some(after), 1000)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for event in &page {
                context.printer.data(serde_json::to_string(event)?);
            }
        }
    }
    let mut events: Vec<api::Event> = hub.get(&filter(None, args.limit)).await?;
    events.reverse();
    let columns = ["WHEN", "WHO", "FROM", "DID", "TO", "DETAIL"];
    let cells = |event: &api::Event| {
        let detail = if event.detail.is_null() { String::new() } else { event.detail.to_string() };
        vec![
            moment(event.at),
            event.actor.clone(),
            event.source.clone().unwrap_or_default(),
            event.action.clone(),
            event.object.clone(),
            detail,
        ]
    };
    context.printer.rows(&events, &columns, cells, "no events")
}
