//! API tokens: by them programs act for a person, with no more than a role may, somewhere, until they end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::secret::Secret;
use super::store::tokens::{self as table, TokenRow};
use super::{check_name, scope_words};
use crate::api::{ApiToken, ApiTokenSecret, NewApiToken};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::{Op, Person, Via};
use crate::id::TokenId;

/// How a token begins, so that people and scanners know one when they see it.
pub const PREFIX: &str = "nave_";

/// The longest life of a token.
const LONGEST: Duration = Duration::from_hours(366 * 24);
/// The most that one person has.
const MOST: usize = 100;
/// How exactly it is noted when a token was used.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// Makes a token for oneself. A token cannot make another.
pub async fn make(op: &Op, hub: &Hub, new: &NewApiToken) -> Result<ApiTokenSecret> {
    let me = access::require_person(op)?;
    if matches!(me.via, Via::Token(_) | Via::Program(_)) {
        return Err(Error::Forbidden("an API token cannot make another: sign in to do that".to_owned()));
    }
    let name = check_name(&new.name)?;
    let life = Duration::from_secs(new.ttl_seconds);
    if life.is_zero() || life > LONGEST {
        return Err(Error::invalid("ttl_seconds", "must be from one second to a year"));
    }
    let now = op.clock.now();
    let mut act = hub.store.begin().await?;
    if table::of_person(act.connection(), me.id).await?.len() >= MOST {
        return Err(Error::Conflict(format!("you have {MOST} tokens already: end those that are not used")));
    }
    let scope = super::resolve_scope(act.connection(), &new.scope).await?;
    let row = TokenRow {
        id: TokenId::new(),
        person: me.id,
        name: name.to_owned(),
        role: new.role,
        scope,
        created_at: now,
        expires_at: now + life,
        last_used_at: None,
    };
    let secret = Secret::generate(&hub.random);
    table::insert(&mut act, &row, &secret.hash()).await?;
    let detail = json!({ "role": new.role, "scope": new.scope, "expires_at": row.expires_at.to_string() });
    hub.record(&mut act, op, about("token.made", &row.id.to_string(), name, detail)).await?;
    let token = view(act.connection(), &row).await?;
    act.commit().await?;
    let text = Zeroizing::new(format!("{PREFIX}{}", secret.reveal().as_str()));
    Ok(ApiTokenSecret { token, secret: text.to_string() })
}

/// One's own tokens, the newest first.
pub async fn list(op: &Op, hub: &Hub) -> Result<Vec<ApiToken>> {
    let me = access::require_person(op)?;
    let mut reader = hub.store.read().await?;
    let rows = table::of_person(&mut reader, me.id).await?;
    let mut tokens = Vec::with_capacity(rows.len());
    for row in rows.iter().filter(|row| row.expires_at > op.clock.now()) {
        tokens.push(view(&mut reader, row).await?);
    }
    Ok(tokens)
}

/// Ends one of one's own tokens.
pub async fn end(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    let me = access::require_person(op)?;
    let missing = || Error::not_found("token", id);
    let parsed: TokenId = id.parse().map_err(|_| missing())?;
    let mut act = hub.store.begin().await?;
    let name = table::delete(&mut act, parsed, me.id).await?.ok_or_else(missing)?;
    hub.record(&mut act, op, about("token.ended", id, &name, json!({}))).await?;
    super::tell_after_commit(&mut act, hub, me.id);
    act.commit().await
}

/// Who acts by a token; `None` if it is none, or not good any more.
pub async fn find(hub: &Hub, text: &str) -> Result<Option<Person>> {
    let Some(secret) = text.strip_prefix(PREFIX).and_then(|text| text.parse::<Secret>().ok()) else {
        return Ok(None);
    };
    let now = hub.clock.now();
    let mut reader = hub.store.read().await?;
    let row = table::by_secret(&mut reader, &secret.hash()).await?.filter(|row| row.expires_at > now);
    let Some(row) = row else { return Ok(None) };
    let Some(person) = super::active(&mut reader, row.person).await? else { return Ok(None) };
    drop(reader);
    if row.last_used_at.is_none_or(|used| now - used >= NOTED_EVERY) {
        let mut act = hub.store.begin().await?;
        table::used(&mut act, row.id, now).await?;
        act.commit().await?;
    }
    let rights = person.rights().under(row.role, row.scope);
    Ok(Some(Person { id: person.id, name: person.name, rights: Arc::new(rights), via: Via::Token(row.id) }))
}

async fn view(reader: &mut sqlx::AnyConnection, row: &TokenRow) -> Result<ApiToken> {
    Ok(ApiToken {
        id: row.id.to_string(),
        name: row.name.clone(),
        role: row.role,
        scope: scope_words(reader, &row.scope).await?,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    })
}

fn about(action: &'static str, id: &str, name: &str, detail: serde_json::Value) -> Event {
    Event { action, object_kind: "token", object_id: id.to_owned(), object_name: name.to_owned(), detail }
}
