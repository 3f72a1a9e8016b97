//! Who is let in. A refusal that is told (`CONNECT_ERROR`) is final for a runner, which never tries again: so only what
//! nothing but a person can change is told, and everything else closes the connection, after which it comes back by itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::nodes::keyed::{self, Admitted, Refusal};
use nave_core::hub::nodes::{self, Connected, Connections};
use nave_core::hub::op::{Actor, Client, Op};
use nave_core::id::RequestId;
use nave_link::access_key::AccessKey;
use serde_json::json;

use super::super::socket_io::{Asking, Socket, Verdict};
use super::session::{Allowance, Session, link};
use super::wire::Shown;
use super::{Naisys, SUPERVISOR, There};
use crate::api::HostKind;
use crate::hub::RUN;
use crate::hub::hosts::{self, Arrival};

/// How long a connection may take to show that it lives, when its host comes a second time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// Why somebody is not let in.
enum Turned {
    /// For good, in the words that its program knows.
    Away(&'static str, &'static str),
    /// For now.
    Back(String),
}

impl From<Error> for Turned {
    fn from(error: Error) -> Self {
        Self::Back(error.message())
    }
}

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Self {
        // A program of NAISYS looks for these words, says them, and ends.
        match refusal {
            Refusal::Name(_) => Self::Away("Missing hostName", "missing_host_name"),
            // Roles are given and taken: its agents need not be started by hand when it has this one again.
            Refusal::Role(words) => Self::Back(words),
            refusal if refusal.is_final() => Self::Away("Invalid access key", "invalid_access_key"),
            refusal => Self::Back(refusal.to_string()),
        }
    }
}

impl Naisys {
    pub(super) async fn decide(&self, asking: Asking) -> Verdict<Session> {
        let shown = Shown::read(&asking.auth);
        let (source, name) = (asking.source, shown.host_name.clone());
        match self.let_in(asking, shown).await {
            Ok(session) => Verdict::Accept(session),
            Err(Turned::Away(message, code)) => {
                tracing::warn!(%source, host = name, message, "a runner was refused");
                let data = json!({ "code": code, "fatal": true });
                Verdict::Refuse { message: message.to_owned(), data: Some(data) }
            }
            Err(Turned::Back(why)) => {
                tracing::info!(%source, host = name, why, "a runner was sent away for now");
                Verdict::Close
            }
        }
    }

    async fn let_in(&self, asking: Asking, shown: Shown) -> Result<Session, Turned> {
        let hub = self.hub()?;
        let op = Op {
            actor: Actor::Anonymous,
            source: Some(asking.source),
            request: RequestId::new(),
            clock: hub.clock.clone(),
        };
        let config = &self.0.agents.config().naisys;
        let admitted = match shown.key.parse::<AccessKey>() {
            Ok(key) => keyed::admit(&op, &hub, &key, &shown.host_name, config.shared_key).await?,
            // Later programs know no fingerprint. What is no key at all is counted as a wrong one.
            Err(_) => keyed::admit_plain(&op, &hub, &shown.key, &shown.host_name).await?,
        };
        if shown.host_name.is_empty() {
            return Err(Turned::Away("Missing hostName", "missing_host_name"));
        }
        let is_supervisor =
            !admitted.shared() && config.supervisors.iter().any(|name| name == admitted.name());
        if shown.is_supervisor && !is_supervisor {
            // Its key is right, and it would be wrong about what it sees.
            return Err(Turned::Away("Invalid access key", "invalid_access_key"));
        }
        if is_supervisor {
            self.supervisor(op, asking, admitted).await
        } else {
            self.runner(op, asking, shown, admitted).await
        }
    }

    async fn supervisor(&self, op: Op, asking: Asking, admitted: Admitted) -> Result<Session, Turned> {
        let hub = self.hub()?;
        let client = Client {
            dialect: "naisys",
            id: admitted.node().to_string(),
            name: admitted.name().to_owned(),
            may: SUPERVISOR.to_vec(),
        };
        let connection = self.connected().enter(None, &asking);
        let session = Session {
            name: admitted.name().to_owned(),
            _connected: stands(&hub, &admitted, &asking.socket).await,
            socket: asking.socket,
            connection,
            host: None,
            actor: Actor::Client(client),
            source: asking.source,
            may_be_again: AtomicBool::new(false),
            allowance: Allowance::new(hub.clock.now()).into(),
            stay: None,
        };
        // Its key may have ended meanwhile.
        let greeted = match keyed::check(&op, &hub, &admitted).await {
            Ok(_) => self.greet(&session.socket, None).await.map_err(Turned::from),
            Err(refusal) => Err(refusal.into()),
        };
        self.or_leave(session, greeted).await
    }

    async fn runner(
        &self,
        op: Op,
        asking: Asking,
        shown: Shown,
        admitted: Admitted,
    ) -> Result<Session, Turned> {
        let (hub, agents) = (self.hub()?, &self.0.agents);
        // A key of one machine is worth one host, whatever that calls itself.
        let name = if admitted.shared() { admitted.said() } else { admitted.name() };
        let op = Op { actor: admitted.actor().clone(), ..op };
        let version = shown.version.map(|version| format!("naisys {version}"));
        let arrival = Arrival {
            name: name.to_owned(),
            kind: HostKind::Naisys,
            node: admitted.node(),
            shared_key: admitted.shared(),
            version: version.clone(),
            address: Some(asking.source),
        };
        // Before it is noted that anybody came: who is there already is still known by where it came from.
        let known = agents.directory().read().host_named(name).ok().map(|row| row.id);
        if let Some(known) = known {
            self.make_room(&op, known, &admitted).await?;
        }
        let host = hosts::arrive(&op, &hub, agents, arrival).await?;
        let stay = nodes::enter(&op, &hub, &admitted, version.as_deref().unwrap_or("naisys")).await?;
        let (connection, before) = {
            // Together, so that of two that come at once both know the same one.
            let mut connected = self.connected();
            let connection = connected.enter(Some(host), &asking);
            (connection, agents.live().enter(host, connection, link(&asking.socket)))
        };
        if let Some(before) = before {
            before.close("a newer connection took its place");
        }
        let session = Session {
            name: name.to_owned(),
            _connected: stands(&hub, &admitted, &asking.socket).await,
            socket: asking.socket,
            connection,
            host: Some(host),
            actor: op.actor,
            source: asking.source,
            may_be_again: AtomicBool::new(true),
            allowance: Allowance::new(hub.clock.now()).into(),
            stay: Some(stay),
        };
        let greeted = self.greet(&session.socket, Some(host)).await.map_err(Turned::from);
        crate::hub::wake::soon(&hub);
        self.or_leave(session, greeted).await
    }

    /// A connection that was entered and is not let in has to leave again.
    async fn or_leave(&self, session: Session, greeted: Result<(), Turned>) -> Result<Session, Turned> {
        match greeted {
            Ok(()) => Ok(session),
            Err(turned) => {
                self.leave(session).await;
                Err(turned)
            }
        }
    }

    /// A host that is connected already is asked whether it lives: if so, the newcomer waits outside, and takes over by
    /// itself when the other ends; if not, it is the newcomer's.
    async fn make_room(&self, op: &Op, host: i64, admitted: &Admitted) -> Result<(), Turned> {
        let before = self.connected().hosts.get(&host).cloned();
        let Some(There { socket, source, .. }) = before else {
            if self.0.agents.live().is_online(host) {
                return Err(Turned::Back("this host is connected by another program already".to_owned()));
            }
            return Ok(());
        };
        if socket.alive(SIGN_OF_LIFE).await {
            let hub = self.hub()?;
            keyed::note_used_twice(op, &hub, admitted, &source.to_string()).await?;
            return Err(Turned::Back("this host is connected already, and lives".to_owned()));
        }
        socket.close();
        Ok(())
    }

    /// A connection has ended.
    pub(super) async fn leave(&self, session: Session) {
        let Some(host) = session.host else {
            self.connected().supervisors.remove(&session.connection);
            return;
        };
        {
            let mut connected = self.connected();
            let is_it =
                connected.hosts.get(&host).is_some_and(|there| there.connection == session.connection);
            if is_it {
                connected.hosts.remove(&host);
            }
        }
        self.0.agents.live().leave(host, session.connection);
        if let Some(stay) = session.stay {
            stay.leave().await;
        }
    }
}

/// A connection stands as long as the node whose key it came with may have it; a supervisor's too, which was let in as a host.
async fn stands(hub: &Arc<Hub>, admitted: &Admitted, socket: &Socket) -> Connected {
    let socket = socket.clone();
    Connections::enter(hub, admitted.node(), RUN, move |_| socket.close()).await
}
