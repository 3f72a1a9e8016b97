//! Nodes whose programs know no other proof than an access key: who is let in by which key, and as whom. The dialects
//! that such programs speak are the fleets'.

use std::net::IpAddr;
use std::time::Duration;

use nave_link::access_key::{AccessKey, KeySecret};
use nave_link::address::is_name;
use serde_json::json;
use sqlx::AnyConnection;
use time::OffsetDateTime;

use super::admission::{by, note_wrong_key};
use super::store::{self, BoundName, NodeRow};
use super::{about, find, node_keys, tell_after_commit};
use crate::api::NodeStatus;
use crate::hub::access::{self, Action, Roles, Scope};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event;
use crate::hub::op::{Actor, Op};
use crate::hub::source;
use crate::id::NodeId;

/// Letting somebody else use a name under the shared access key.
pub const RELEASE: Action = Action::new("node.release", Roles::OPERATORS);

/// The role that a node needs, and the only one that the shared key gives.
const ROLE: &str = "host";
/// How often it is written down that somebody tries what he may not.
const NOTED_EVERY: Duration = Duration::from_hours(1);
/// The most names that are used under the shared key from one address.
const MOST_NAMES: i64 = 256;
/// How the hub's own machine is called where names are bound to addresses.
const HERE: &str = "loopback";

/// Whom the shared access key lets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedKeyRule {
    /// Whoever holds it, each name from the address that used it first.
    #[default]
    Bound,
    /// As before, and only programs on the hub's own machine.
    Loopback,
    /// Nobody.
    Off,
}

/// A node that was let in. Only [`admit`] makes one.
#[derive(Clone, Debug)]
pub struct Admitted {
    actor: Actor,
    node: NodeId,
    name: String,
    said: String,
    key: KeyUsed,
}

/// The key that a node showed, as far as it has to be known again.
#[derive(Clone, Debug)]
enum KeyUsed {
    Own { id: String, secret_hash: String },
    Shared { secret_hash: String },
}

impl Admitted {
    /// Who acts when the node does.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Which node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// What the hub calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the program calls it, as far as that can be a name.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Whether it showed the shared key.
    pub fn shared(&self) -> bool {
        matches!(self.key, KeyUsed::Shared { .. })
    }

    fn new(row: &NodeRow, said: String, key: KeyUsed) -> Self {
        Self { actor: row.actor(), node: row.id, name: row.name.clone(), said, key }
    }
}

/// Why a node is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The key is none of this hub's, or no longer.
    #[error("{0}")]
    WrongKey(String),
    /// Its membership has ended.
    #[error("{0}")]
    Revoked(String),
    /// It is not there for this.
    #[error("{0}")]
    Role(String),
    /// The shared key lets nobody in, or nobody from there.
    #[error("{0}")]
    SharedKey(String),
    /// The name is, or is kept for, a node that proves itself in another way.
    #[error("{0}")]
    OwnKey(String),
    /// What the program says cannot be a name.
    #[error("{0}")]
    Name(String),
    /// The name is used from another address, or there are too many from this one.
    #[error("{0}")]
    Bound(String),
    /// The node waits for an operator.
    #[error("{0}")]
    Pending(String),
    /// Too many wrong keys from there.
    #[error("too many attempts; try again in {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// The hub cannot tell at the moment.
    #[error("{0}")]
    Unavailable(Error),
}

impl Refusal {
    /// Whether the same program would be refused again however often it tries, until somebody changes something for it. All
    /// others are worth trying again.
    pub fn is_final(&self) -> bool {
        match self {
            Self::WrongKey(_)
            | Self::Revoked(_)
            | Self::Role(_)
            | Self::SharedKey(_)
            | Self::OwnKey(_)
            | Self::Name(_) => true,
            Self::Bound(_) | Self::Pending(_) | Self::Throttled(_) | Self::Unavailable(_) => false,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Throttled(wait) => Self::Throttled(wait),
            other => Self::Unavailable(other),
        }
    }
}

/// Lets a node in that shows an access key and says a name. By a key of its own it is the node that the key was made for,
/// whatever it says; by the shared key it is the node of that name, which is made at the first use and bound to the
/// address of the operation.
///
/// # Errors
///
/// A [`Refusal`], which says whether trying again can help.
pub async fn admit(
    op: &Op,
    hub: &Hub,
    key: &AccessKey,
    name: &str,
    shared: SharedKeyRule,
) -> Result<Admitted, Refusal> {
    // Whoever holds a key may come: it is what authorizes.
    hub.wrong_keys.check(op.source)?;
    let secret_hash = key.secret().hash();
    let checked = match key.secret() {
        KeySecret::PerNode { id, .. } => {
            let own = node_keys::owner(hub, key, id).await;
            own.map(|own| (Some(own.node), KeyUsed::Own { id: id.clone(), secret_hash }))
        }
        KeySecret::Shared(_) => {
            let checked = hub.access_keys.check(key, op.clock.now());
            checked.map(|()| (None, KeyUsed::Shared { secret_hash }))
        }
    };
    match counted(op, hub, checked).await? {
        (Some(node), used) => as_itself(op, hub, node, name, used).await,
        (None, used) => by_name(op, hub, name, shared, used).await,
    }
}

/// As [`admit`], for a program that shows its own key in the plain form ([`AccessKey::plain`]). The shared key has none.
pub async fn admit_plain(op: &Op, hub: &Hub, plain: &str, name: &str) -> Result<Admitted, Refusal> {
    hub.wrong_keys.check(op.source)?;
    let checked = node_keys::owner_of_plain(hub, plain).await;
    let (own, id, secret_hash) = counted(op, hub, checked).await?;
    as_itself(op, hub, own.node, name, KeyUsed::Own { id, secret_hash }).await
}

/// What came of looking at a key; a wrong one is counted against the address that it came from.
async fn counted<T>(op: &Op, hub: &Hub, checked: Result<T, Error>) -> Result<T, Refusal> {
    match checked {
        Ok(checked) => {
            hub.wrong_keys.right(op.source);
            Ok(checked)
        }
        Err(Error::Unauthenticated(words)) => {
            note_wrong_key(op, hub, "access key").await?;
            Err(Refusal::WrongKey(words))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the key that a node came with would still let it in, and until when if its end is set already. A dialect asks
/// this when it hears of the node (topic `node`) or of the shared key (topic `key`), or when that end has come. Whether a
/// connection that stands has to end with its key is the dialect's to say.
pub async fn check(op: &Op, hub: &Hub, admitted: &Admitted) -> Result<Option<OffsetDateTime>, Refusal> {
    let mut reader = hub.store.read().await?;
    let row = store::by_id(&mut reader, admitted.node).await?;
    let row = row.ok_or_else(|| Refusal::WrongKey("this node is gone".to_owned()))?;
    may_come(&row)?;
    match &admitted.key {
        KeyUsed::Own { id, secret_hash } => {
            drop(reader);
            Ok(node_keys::good(hub, id, secret_hash).await.map_err(wrong)?.ends)
        }
        KeyUsed::Shared { secret_hash } => {
            let end = hub.access_keys.end_of(secret_hash, op.clock.now()).map_err(wrong)?;
            if has_own_key(&mut reader, &row).await? {
                return Err(own_key(&row));
            }
            match row.bound_to.as_deref() {
                Some(address) if address != place(op.source) => Err(bound(&row, address)),
                _ => Ok(end),
            }
        }
    }
}

/// Lets another address use a name under the shared access key: the next that comes with it. The name is the node's, or
/// what programs call it.
pub async fn release(op: &Op, hub: &Hub, name: &str) -> Result<()> {
    access::require_somewhere(op, RELEASE)?;
    let mut act = hub.store.begin().await?;
    let node = match store::bound_name(act.connection(), name).await? {
        Some(bound) => store::by_id(act.connection(), bound.node).await?,
        None => Some(find(act.connection(), name).await?),
    };
    let row = node.ok_or_else(|| Error::not_found("node", name))?;
    let scope = Scope::node(row.id);
    if row.owner.is_some() || !access::allows(op, super::READ, &scope) {
        return Err(Error::not_found("node", name));
    }
    access::require_in(op, RELEASE, &scope)?;
    if store::free_names(&mut act, row.id).await? == 0 {
        return Err(Error::Conflict(format!(
            "{} is not bound to an address: it is not known by the shared access key, or was released already",
            row.name
        )));
    }
    hub.record(&mut act, op, about("node.released", &row, json!({ "from": row.bound_to }))).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}

/// Writes down that the key of a node that is connected from `other` was shown by somebody else; once in an hour.
pub async fn note_used_twice(op: &Op, hub: &Hub, admitted: &Admitted, other: &str) -> Result<()> {
    // That the node was admitted, which nobody else can claim, is what allows this.
    let op = Op { actor: admitted.actor.clone(), ..op.clone() };
    let row = store::by_id(&mut *hub.store.read().await?, admitted.node).await?;
    let row = row.ok_or_else(|| Error::internal("an admitted node is gone"))?;
    note(&op, hub, &row, "node.used_twice", json!({ "connected_from": other, "said": admitted.said })).await
}

async fn as_itself(op: &Op, hub: &Hub, node: NodeId, name: &str, used: KeyUsed) -> Result<Admitted, Refusal> {
    // A name that cannot be one is no reason to turn away whoever has a key of its own.
    let said = normalised(name).unwrap_or_default();
    let row = store::by_id(&mut *hub.store.read().await?, node).await?;
    let mut row = row.ok_or_else(|| Refusal::from(Error::internal("a key outlived its node")))?;
    if row.status == NodeStatus::Invited {
        let mut act = hub.store.begin().await?;
        store::activate_keyed(&mut act, node, op.clock.now()).await?;
        let again = store::by_id(act.connection(), node).await?;
        row = again.ok_or_else(|| Refusal::from(Error::internal("a key outlived its node")))?;
        let key = if let KeyUsed::Own { id, .. } = &used { id.as_str() } else { "" };
        let detail = json!({ "access_key": key, "said": said });
        hub.record(&mut act, &by(op, &row), about("node.joined", &row, detail)).await?;
        tell_after_commit(&mut act, hub, node);
        // Whoever may not come has not come: dropping the act undoes it.
        may_come(&row)?;
        act.commit().await?;
    }
    may_come(&row)?;
    if !said.eq_ignore_ascii_case(&row.name) {
        tracing::info!(node = row.name, said, "a node calls itself by another name than its access key's");
    }
    Ok(Admitted::new(&row, said, used))
}

/// How a name under the shared key stands.
enum Standing {
    /// It is this node's, from here.
    In(NodeRow),
    /// It is free: of a node that was released, or of one that has yet to be made.
    Free(Option<NodeRow>),
    /// It is used from another address.
    Bound(NodeRow, String),
}

async fn by_name(
    op: &Op,
    hub: &Hub,
    name: &str,
    shared: SharedKeyRule,
    used: KeyUsed,
) -> Result<Admitted, Refusal> {
    let place = place(op.source);
    match shared {
        SharedKeyRule::Off => {
            return Err(Refusal::SharedKey(
                "this hub lets nobody in by the shared access key: ask its operator for a key of this machine's own (`nave node add NAME --role host`)".to_owned(),
            ));
        }
        SharedKeyRule::Loopback if place != HERE => {
            return Err(Refusal::SharedKey(
                "the shared access key is good on the hub's own machine only: ask its operator for a key of this machine's own (`nave node add NAME --role host`)".to_owned(),
            ));
        }
        SharedKeyRule::Loopback | SharedKeyRule::Bound => {}
    }
    let said = normalised(name).ok_or_else(|| {
        Refusal::Name(format!("{name:?} cannot be a node's name: it needs a letter or a digit"))
    })?;
    let mut reader = hub.store.read().await?;
    let standing = standing(&mut reader, &said, &place).await?;
    drop(reader);
    match standing {
        Standing::In(row) => Ok(Admitted::new(&row, said, used)),
        Standing::Bound(row, address) => {
            note(op, hub, &row, "node.name_refused", json!({ "said": said, "bound_to": address })).await?;
            Err(bound(&row, &address))
        }
        Standing::Free(_) => first_use(op, hub, said, place, used).await,
    }
}

/// Binds a name to whoever uses it first.
async fn first_use(
    op: &Op,
    hub: &Hub,
    said: String,
    place: String,
    used: KeyUsed,
) -> Result<Admitted, Refusal> {
    let mut act = hub.store.begin().await?;
    let row = match standing(act.connection(), &said, &place).await? {
        // Another one was faster.
        Standing::In(row) => return Ok(Admitted::new(&row, said, used)),
        Standing::Bound(row, address) => return Err(bound(&row, &address)),
        Standing::Free(row) => row,
    };
    if store::count_bound(act.connection(), &place).await? >= MOST_NAMES {
        return Err(Refusal::Bound(format!(
            "{MOST_NAMES} names come from {place} under the shared access key already: give these machines keys of their own (`nave node add NAME --role host`), or revoke some"
        )));
    }
    let row = if let Some(row) = row {
        row
    } else {
        let id = NodeId::new();
        store::insert(&mut act, id, &said, NodeStatus::Active, None, op.clock.now()).await?;
        store::add_role(&mut act, id, ROLE).await?;
        let made = store::by_id(act.connection(), id).await?;
        made.ok_or_else(|| Refusal::from(Error::internal("a new node is gone")))?
    };
    store::bind_name(&mut act, &said, &BoundName { node: row.id, address: place.clone() }, op.clock.now())
        .await?;
    let detail = json!({ "access_key": "shared", "bound_to": place });
    hub.record(&mut act, &by(op, &row), about("node.joined", &row, detail)).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    Ok(Admitted::new(&row, said, used))
}

async fn standing(reader: &mut AnyConnection, said: &str, place: &str) -> Result<Standing, Refusal> {
    let by_alias = store::bound_name(reader, said).await?;
    let row = match &by_alias {
        Some(bound) => store::by_id(reader, bound.node).await?,
        None => store::by_name(reader, said).await?,
    };
    let Some(row) = row else { return Ok(Standing::Free(None)) };
    if row.status == NodeStatus::Revoked {
        return Err(Refusal::Revoked(format!(
            "{said} was revoked: nobody may use that name under the shared access key, until the hub's operator releases it (`nave node release {said}`)"
        )));
    }
    if has_own_key(reader, &row).await? {
        return Err(own_key(&row));
    }
    may_come(&row)?;
    // A node that was renamed, or goes by two names, is bound all the same.
    let address = by_alias.map(|bound| bound.address).or_else(|| row.bound_to.clone());
    Ok(match address {
        None => Standing::Free(Some(row)),
        Some(address) if address == place => Standing::In(row),
        Some(address) => Standing::Bound(row, address),
    })
}

/// Whether somebody proves to be this node, or is to prove it, by more than the shared key.
async fn has_own_key(reader: &mut AnyConnection, row: &NodeRow) -> Result<bool> {
    let elsewhere = row.owner.is_some() || row.public_key.is_some() || row.status != NodeStatus::Active;
    Ok(elsewhere || store::has_node_key(reader, row.id).await?)
}

fn may_come(row: &NodeRow) -> Result<(), Refusal> {
    match row.status {
        NodeStatus::Revoked => Err(Refusal::Revoked(format!(
            "{} was revoked: ask the hub's operator for a new key (`nave node add`)",
            row.name
        ))),
        NodeStatus::Pending => Err(Refusal::Pending(format!(
            "{} waits for the hub's operator: `nave node approve {}` lets it in",
            row.name, row.name
        ))),
        NodeStatus::Invited | NodeStatus::Active if row.roles.iter().any(|role| role == ROLE) => Ok(()),
        NodeStatus::Invited | NodeStatus::Active => Err(Refusal::Role(format!(
            "{} has not the role {ROLE}: the hub's operator gives it with `nave node roles {} …`",
            row.name, row.name
        ))),
    }
}

fn own_key(row: &NodeRow) -> Refusal {
    Refusal::OwnKey(format!(
        "{} has a key of its own, or was invited: the shared access key does not stand for it. Use its key, or another name",
        row.name
    ))
}

fn bound(row: &NodeRow, address: &str) -> Refusal {
    Refusal::Bound(format!(
        "{} is used from {address} under the shared access key: use another name, or ask the hub's operator to release it (`nave node release {}`)",
        row.name, row.name
    ))
}

fn wrong(error: Error) -> Refusal {
    match error {
        Error::Unauthenticated(words) => Refusal::WrongKey(words),
        other => other.into(),
    }
}

/// An event about a node that others may cause as often as they like: once in a while is enough.
async fn note(
    op: &Op,
    hub: &Hub,
    row: &NodeRow,
    action: &'static str,
    detail: serde_json::Value,
) -> Result<()> {
    let since = op.clock.now() - NOTED_EVERY;
    let id = row.id.to_string();
    if event::was_noted(&mut *hub.store.read().await?, "node", &id, action, since).await? {
        return Ok(());
    }
    let mut act = hub.store.begin().await?;
    if event::was_noted(act.connection(), "node", &id, action, since).await? {
        return Ok(());
    }
    hub.record(&mut act, op, about(action, row, detail)).await?;
    act.commit().await
}

/// Where a name is bound to: an address, for IPv6 a whole network, or the hub's own machine.
fn place(source: Option<IpAddr>) -> String {
    match source.map(source::unmapped) {
        None => HERE.to_owned(),
        Some(address) if address.is_loopback() => HERE.to_owned(),
        Some(address) => source::group(address).to_string(),
    }
}

/// What a program says, as a node's name: what cannot stand in one becomes `-`.
fn normalised(said: &str) -> Option<String> {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let said: String = said.trim().chars().map(kept).collect();
    let said = said.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let said: String = said.chars().take(63).collect();
    is_name(&said).then_some(said)
}
