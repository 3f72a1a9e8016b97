//! The tools `whoami`, `colleagues` and `budget`.

use anyhow::{Context as _, ensure};
use nave_agents::api::Nanodollars;
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::asked::Asked;
use super::server::Answer;
use super::text;

/// Nothing has to be said.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Who the agent is.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Identity {
    /// Your name, by which others write to you.
    name: String,
    /// What you are, in a few words.
    title: String,
    /// Whom you work for.
    lead: Option<String>,
    /// Why you may spend nothing at the moment.
    suspended: Option<String>,
}

pub(super) async fn whoami(asked: &Asked, _: Nothing) -> anyhow::Result<Answer> {
    let found = asked.identity().await?;
    let identity = Identity {
        name: text::line(&found.name),
        title: text::line(&found.title),
        lead: found.lead.as_deref().map(text::line),
        suspended: found.suspended.as_deref().map(text::line),
    };
    let mut told = format!("You are {} ({}).", identity.name, identity.title);
    if let Some(lead) = &identity.lead {
        told.push_str(&format!(" You work for {lead}."));
    }
    if let Some(reason) = &identity.suspended {
        told.push_str(&format!(" You may spend nothing at the moment: {reason}."));
    }
    Answer::new(&identity, told)
}

/// Which colleagues are wanted.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Colleagues {
    /// Only those in whose name or title all of these words stand.
    search: Option<String>,
    /// How many at most: 1 to 500, 100 without it.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// `next_cursor` of the answer before.
    cursor: Option<usize>,
}

/// Whom the agent can write to.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Everybody {
    /// In the order of their names.
    colleagues: Vec<Somebody>,
    /// How many there are, those of other pages included.
    total: usize,
    /// Goes on behind these; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Somebody {
    /// The name, by which they are written to.
    name: String,
    /// What they are, in a few words.
    title: String,
}

pub(super) async fn colleagues(asked: &Asked, wanted: Colleagues) -> anyhow::Result<Answer> {
    let limit = wanted.limit.unwrap_or(100);
    ensure!((1..=500).contains(&limit), "limit: must be from 1 to 500, and not {limit}");
    let words: Vec<String> =
        wanted.search.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let mut all = asked.colleagues().await?;
    all.retain(|colleague| {
        let text = format!("{} {}", colleague.name, colleague.title).to_lowercase();
        words.iter().all(|word| text.contains(word))
    });
    let (from, total) = (wanted.cursor.unwrap_or(0), all.len());
    let shown: Vec<Somebody> = all
        .iter()
        .skip(from)
        .take(limit)
        .map(|colleague| Somebody {
            name: text::line(&colleague.name),
            title: text::begins(&colleague.title, 200),
        })
        .collect();
    let end = from.saturating_add(shown.len());
    let next_cursor = (end < total && !shown.is_empty()).then_some(end);
    let mut told = match (total, words.is_empty()) {
        (0, true) => "You have no colleagues.".to_owned(),
        (0, false) => "No colleague's name or title has all of these words.".to_owned(),
        (1, _) => "1 colleague:".to_owned(),
        (total, _) => format!("{total} colleagues:"),
    };
    for somebody in &shown {
        told.push_str(&format!("\n{}: {}", somebody.name, somebody.title));
    }
    if let Some(next) = next_cursor {
        told.push_str(&format!("\nThere are more: call colleagues again with cursor {next}."));
    }
    Answer::new(&Everybody { colleagues: shown, total, next_cursor }, told)
}

/// What the agent may spend.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Spending {
    /// Whether anything limits what you spend.
    limited: bool,
    /// What may be spent in the present window, in dollars.
    limit_dollars: Option<f64>,
    /// What was spent in it.
    spent_dollars: Option<f64>,
    /// What is left of it.
    left_dollars: Option<f64>,
    /// When it began, in RFC 3339; null for one that has no beginning.
    window_began_at: Option<String>,
    /// When the next one begins and counts from nothing; null for one that never ends.
    resets_at: Option<String>,
    /// Why you may spend nothing at the moment.
    suspended: Option<String>,
}

pub(super) async fn budget(asked: &Asked, _: Nothing) -> anyhow::Result<Answer> {
    let (window, suspended) = asked.budget().await?;
    let suspended = suspended.as_deref().map(text::line);
    let of = |at: Option<OffsetDateTime>| at.map(moment).transpose();
    let left = window
        .as_ref()
        .map(|window| Nanodollars(window.limit.0.saturating_sub(window.spent.0).max(0)).dollars());
    let spending = Spending {
        limited: window.is_some(),
        limit_dollars: window.as_ref().map(|window| window.limit.dollars()),
        spent_dollars: window.as_ref().map(|window| window.spent.dollars()),
        left_dollars: left,
        window_began_at: of(window.as_ref().and_then(|window| window.from))?,
        resets_at: of(window.as_ref().and_then(|window| window.until))?,
        suspended,
    };
    let mut told = match (spending.limit_dollars, spending.spent_dollars, left) {
        (Some(limit), Some(spent), Some(left)) => {
            let since =
                spending.window_began_at.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
            let until = match &spending.resets_at {
                Some(at) => format!("The next window begins at {at}."),
                None => "This limit is not renewed by itself.".to_owned(),
            };
            format!("${spent:.4} of ${limit:.4} are spent{since}; ${left:.4} are left. {until}")
        }
        _ => "Nothing limits what you may spend.".to_owned(),
    };
    if let Some(reason) = &spending.suspended {
        told.push_str(&format!(" You may spend nothing at the moment: {reason}."));
    }
    Answer::new(&spending, told)
}

/// A time as models and programs read it.
pub(super) fn moment(at: OffsetDateTime) -> anyhow::Result<String> {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).context("a time of the hub cannot be written")
}
