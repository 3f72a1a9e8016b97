//! Invitations: a token for one machine, with what it will be and may do.

use std::time::Duration;

use nave_link::token::JoinToken;
use serde_json::json;

use super::store::{self, InviteRow};
use super::{check_name, check_roles};
use crate::api::{GrantRequest, Invitation, InviteRequest, NodeStatus};
use crate::hub::access::{self, Action, Roles};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::grants;
use crate::hub::op::Op;
use crate::id::{InviteId, NodeId};

/// Bringing nodes in.
pub const INVITE: Action = Action::new("node.invite", Roles::OPERATORS);

const DEFAULT_TTL: Duration = Duration::from_hours(1);
const LONGEST_TTL: Duration = Duration::from_hours(2160);
const MOST_USES: u32 = 1000;
const MOST_GRANTS: usize = 100;

/// Makes an invitation. A name is kept for the node that will come with it, so that rights on that node can be given at
/// once.
pub async fn invite(op: &Op, hub: &Hub, request: &InviteRequest) -> Result<Invitation> {
    access::require(op, INVITE)?;
    let uses = request.uses.unwrap_or(1);
    if !(1..=MOST_USES).contains(&uses) {
        return Err(Error::invalid("uses", format!("must be from 1 to {MOST_USES}")));
    }
    if uses > 1 && request.name.is_some() {
        return Err(Error::invalid(
            "name",
            "an invitation for several nodes cannot name them: leave the name out",
        ));
    }
    let ttl = request.ttl_seconds.map_or(DEFAULT_TTL, Duration::from_secs);
    if ttl.is_zero() || ttl > LONGEST_TTL {
        return Err(Error::invalid("ttl", "must be from one second to 90 days"));
    }
    if request.grants.len() > MOST_GRANTS {
        return Err(Error::invalid("grants", format!("at most {MOST_GRANTS}")));
    }
    check_roles(&request.roles)?;
    let url = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    let token = JoinToken::generate(&hub.key.public(), &hub.random);
    let now = op.clock.now();

    let mut act = hub.store.begin().await?;
    for grant in &request.grants {
        grants::resolve(act.connection(), grant).await?;
    }
    let node_id = match &request.name {
        Some(name) => {
            check_name(name)?;
            let id = NodeId::new();
            // Inviting the same name again replaces an invitation that was not used.
            if let Some(earlier) = store::by_name(act.connection(), name).await?
                && earlier.status == NodeStatus::Invited
            {
                grants::forget_node(&mut act, earlier.id).await?;
                store::remove_invited(&mut act, earlier.id).await?;
            }
            store::insert(&mut act, id, name, NodeStatus::Invited, None, now).await?;
            for role in &request.roles {
                store::add_role(&mut act, id, role).await?;
            }
            Some(id)
        }
        None => None,
    };
    let row = InviteRow {
        id: InviteId::new(),
        node_id,
        roles: request.roles.clone(),
        grants: serde_json::to_string(&request.grants).map_err(Error::internal)?,
        uses_left: i64::from(uses),
        expires_at: now + ttl,
    };
    store::insert_invite(&mut act, &row, &token.secret.hash(), now, &op.actor.name()).await?;
    let event = Event {
        action: "node.invited",
        object_kind: "invite",
        object_id: row.id.to_string(),
        object_name: request.name.clone().unwrap_or_default(),
        detail: json!({ "roles": request.roles, "grants": request.grants, "uses": uses, "ttl_seconds": ttl.as_secs() }),
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await?;
    Ok(Invitation {
        id: row.id.to_string(),
        url: url.to_string(),
        token: token.reveal().to_string(),
        expires_at: row.expires_at,
    })
}

/// The rights that an invitation carries.
pub(super) fn grants_of(row: &InviteRow) -> Result<Vec<GrantRequest>> {
    serde_json::from_str(&row.grants).map_err(Error::internal)
}

/// Forgets invitations that have ended, and frees the names that were kept for them. Returns how many names.
pub async fn forget_expired(op: &Op, hub: &Hub) -> Result<usize> {
    access::require(op, INVITE)?;
    let now = op.clock.now();
    let mut reader = hub.store.read().await?;
    let stale = store::expired_invited(&mut reader, now).await?;
    drop(reader);
    let mut act = hub.store.begin().await?;
    // A day's grace: a token that ended recently is still told from one that never was.
    store::forget_invites(&mut act, now - Duration::from_hours(24)).await?;
    for id in &stale {
        grants::forget_node(&mut act, *id).await?;
        store::remove_invited(&mut act, *id).await?;
    }
    act.commit().await?;
    Ok(stale.len())
}
