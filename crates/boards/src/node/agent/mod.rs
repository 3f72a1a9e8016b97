//! The agent: reserves places for whoever asks on this machine, attaches their interfaces and gives them back. Which hub it
//! works with, and in which protocol, is behind [`farm::Farm`].

mod client;
mod edit;
pub mod farm;
mod locks;
mod methods;
pub mod plan;
mod table;
pub mod tunnel;
pub mod unix;
pub mod usb;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

pub use self::client::{AgentClient, ClientError};
use self::farm::{Farm, FarmError, Happening, Place, PlaceId, Stats, Terms};
use self::locks::Locks;
use self::plan::Attachment;
use self::table::{Reservation, Table};
use self::tunnel::{Means, Seat, Tunnel, closed_port};
use self::usb::UsbPorts;
use super::import::{ImportDescription, ImportError};

/// How long to wait before a place is given back again that the hub did not take.
const AGAIN: Duration = Duration::from_mins(1);

/// Why the agent did not do something. The words are not-my-board's, where it has any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The name is taken.
    #[error("A place named \"{0}\" is already reserved")]
    AlreadyReserved(String),
    /// No place is as described.
    #[error("No matching place found")]
    NoMatch,
    /// The hub gave something that was not asked for.
    #[error("Hub returned invalid Place ID")]
    InvalidPlace,
    /// Nothing is reserved under this name.
    #[error("A place named \"{0}\" is not reserved")]
    NotReserved(String),
    /// It is attached.
    #[error("Place \"{0}\" is already attached")]
    AlreadyAttached(String),
    /// It must be detached first.
    #[error("Place \"{0}\" is still attached")]
    StillAttached(String),
    /// It is not attached.
    #[error("Place \"{0}\" is not attached")]
    NotAttached(String),
    /// The reserved place is not as newly described.
    #[error("New import description doesn't match with place")]
    NewMismatch,
    /// No place has this name.
    #[error("Place with name \"{0}\" doesn't exist")]
    NoPlace(String),
    /// The description cannot be used.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The hub.
    #[error(transparent)]
    Farm(#[from] FarmError),
    /// Some interfaces could not be attached, so none is.
    #[error("Place \"{name}\" is not attached: {}", .problems.join("; "))]
    Attach {
        /// The reservation's name.
        name: String,
        /// What is wrong, an interface each.
        problems: Vec<String>,
    },
    /// What was asked for came to no end.
    #[error("the agent stopped while it worked on this")]
    Stopped,
}

/// A reservation, as `list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name here.
    pub place: String,
    /// The place's own name.
    pub place_name: String,
    /// Whether its interfaces are attached.
    pub attached: bool,
}

/// An interface of a reservation, as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// The reservation's name.
    pub place: String,
    /// The part's name.
    pub part: String,
    /// The interface's name.
    pub interface: String,
    /// `USB` or `TCP`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is there now.
    pub attached: bool,
    /// Where it is, or would be: a TCP port, or the kernel's name of a USB port.
    pub port: String,
}

/// Who has a place, as `who` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The place's name.
    pub place_name: String,
    /// Its holder's name.
    pub user: String,
}

/// A place with what is counted about it, as `show` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceWithStats {
    /// The place.
    #[serde(flatten)]
    pub place: Place,
    /// What is counted.
    pub stats: Stats,
}

struct Shared {
    means: Means,
    locks: Locks,
    table: Table,
}

/// An agent. Cloning it is cheap.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

impl Agent {
    /// An agent of a hub.
    pub fn new(farm: Arc<dyn Farm>, usb: Arc<dyn UsbPorts>) -> Self {
        let (locks, table) = (Locks::default(), Table::default());
        Self(Arc::new(Shared { means: Means { farm, usb }, locks, table }))
    }

    fn farm(&self) -> &Arc<dyn Farm> {
        &self.0.means.farm
    }

    /// Reserves a place that is as described, waiting for it if others have it. Whoever drops the future has reserved
    /// nothing.
    pub async fn reserve(&self, name: &str, toml: &str, place: Option<&str>) -> Result<(), AgentError> {
        let description = ImportDescription::parse(toml)?;
        let _lock = self.0.locks.lock(name).await;
        if self.0.table.has(name) {
            return Err(AgentError::AlreadyReserved(name.to_owned()));
        }
        let places = self.farm().places().await?;
        let mut fitting: Vec<(Place, Vec<Attachment>)> = places
            .into_iter()
            .filter(|candidate| place.is_none_or(|name| candidate.name == name))
            .filter_map(|place| plan::plan(&description, &place).map(|attachments| (place, attachments)))
            .collect();
        if fitting.is_empty() {
            return Err(AgentError::NoMatch);
        }
        let candidates = fitting.iter().map(|(place, _)| place.clone()).collect();
        let terms = Terms { name: name.to_owned(), limit: description.auto_return };
        let id = self.farm().reserve(candidates, terms).await?;
        let Some(at) = fitting.iter().position(|(place, _)| place.id == id) else {
            return Err(AgentError::InvalidPlace);
        };
        let (place, attachments) = fitting.swap_remove(at);
        tracing::info!(name, place = place.name, "a place is reserved");
        self.0.table.add(Reservation {
            name: name.to_owned(),
            toml: toml.to_owned(),
            seat: Seat::new(place),
            tunnels: attachments.into_iter().map(|attachment| (attachment, None)).collect(),
            attached: false,
            auto_return: self.auto_return(name, description.auto_return),
        });
        Ok(())
    }

    /// Gives a place back. An attached one only with `force`, which detaches it.
    pub async fn give_back(&self, name: &str, force: bool) -> Result<(), AgentError> {
        let (agent, name) = (self.clone(), name.to_owned());
        finish(tokio::spawn(async move {
            let _lock = agent.0.locks.lock(&name).await;
            let (id, attached) = agent
                .0
                .table
                .with(&name, |reservation| (reservation.seat.place().id, reservation.attached))?;
            if attached {
                if !force {
                    return Err(AgentError::StillAttached(name));
                }
                agent.close(&name).await?;
            }
            agent.farm().give_back(id).await?;
            tracing::info!(name, "a place is given back");
            agent.0.table.remove(&name);
            Ok(())
        }))
        .await
    }

    /// Gives a place back after a while, if the hub does not.
    fn auto_return(&self, name: &str, after: Option<Duration>) -> Option<AbortOnDropHandle<()>> {
        let after = after.filter(|_| !self.farm().keeps_time())?;
        let (agent, name) = (Arc::downgrade(&self.0), name.to_owned());
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(after).await;
            loop {
                let Some(agent) = agent.upgrade().map(Self) else { return };
                tracing::info!(name, "a place goes back: its time is over (auto_return_time)");
                // This task ends with the reservation.
                match agent.give_back(&name, true).await {
                    Ok(()) | Err(AgentError::NotReserved(_)) => return,
                    Err(error) => tracing::warn!(name, %error, "a place does not go back; again in a minute"),
                }
                drop(agent);
                tokio::time::sleep(AGAIN).await;
            }
        })))
    }

    /// Attaches all interfaces of a place, or none: the error says which could not be attached. Whoever drops the future
    /// has attached nothing.
    pub async fn attach(&self, name: &str) -> Result<(), AgentError> {
        let _lock = self.0.locks.lock(name).await;
        let (attached, seat, wanted) = self.0.table.with(name, |reservation| {
            let wanted: Vec<Attachment> = reservation.wanted().cloned().collect();
            (reservation.attached, reservation.seat.clone(), wanted)
        })?;
        if attached {
            return Err(AgentError::AlreadyAttached(name.to_owned()));
        }
        let opened = self.open(&seat, &wanted).await;
        let tunnels = opened.map_err(|problems| AgentError::Attach { name: name.to_owned(), problems })?;
        self.0.table.with(name, |reservation| {
            reservation.tunnels = wanted.into_iter().zip(tunnels.into_iter().map(Some)).collect();
            reservation.attached = true;
        })
    }

    /// Opens all of these, or none.
    async fn open(&self, seat: &Seat, wanted: &[Attachment]) -> Result<Vec<Tunnel>, Vec<String>> {
        let open = wanted.iter().map(|attachment| async move {
            let opened = Tunnel::open(&self.0.means, seat, attachment).await;
            opened.map_err(|why| format!("{}.{}: {why}", attachment.part, attachment.interface))
        });
        let (mut tunnels, mut problems) = (Vec::new(), Vec::new());
        for opened in futures::future::join_all(open).await {
            match opened {
                Ok(tunnel) => tunnels.push(tunnel),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            return Ok(tunnels);
        }
        close_all(tunnels).await;
        Err(problems)
    }

    /// Detaches all interfaces of a place.
    pub async fn detach(&self, name: &str) -> Result<(), AgentError> {
        let (agent, name) = (self.clone(), name.to_owned());
        finish(tokio::spawn(async move {
            let _lock = agent.0.locks.lock(&name).await;
            if !agent.0.table.with(&name, |reservation| reservation.attached)? {
                return Err(AgentError::NotAttached(name));
            }
            agent.close(&name).await
        }))
        .await
    }

    /// Closes what is open of a reservation whose name is locked.
    async fn close(&self, name: &str) -> Result<(), AgentError> {
        let tunnels = self.0.table.with(name, |reservation| {
            reservation.attached = false;
            reservation.take_open()
        })?;
        close_all(tunnels).await;
        Ok(())
    }

    /// All reservations, the oldest first.
    pub fn list(&self) -> Vec<Listed> {
        self.0.table.map(|reservation| Listed {
            place: reservation.name.clone(),
            place_name: reservation.seat.place().name,
            attached: reservation.attached,
        })
    }

    /// The interfaces of all reservations.
    pub fn status(&self) -> Vec<InterfaceStatus> {
        let usb = &*self.0.means.usb;
        let of_one = |reservation: &Reservation| -> Vec<InterfaceStatus> {
            let status = |(wanted, tunnel): &(Attachment, Option<Tunnel>)| {
                let closed = || (false, closed_port(usb, &wanted.kind));
                let (attached, port) =
                    tunnel.as_ref().map_or_else(closed, |tunnel| tunnel.port(usb, &wanted.kind));
                InterfaceStatus {
                    place: reservation.name.clone(),
                    part: wanted.part.clone(),
                    interface: wanted.interface.clone(),
                    kind: wanted.kind.word().to_owned(),
                    attached,
                    port,
                }
            };
            reservation.tunnels.iter().map(status).collect()
        };
        self.0.table.map(of_one).into_iter().flatten().collect()
    }

    /// The places that are there; with a description, those that fit it.
    pub async fn search(&self, toml: Option<&str>) -> Result<Vec<Place>, AgentError> {
        let description = toml.map(ImportDescription::parse).transpose()?;
        let mut places = self.farm().places().await?;
        if let Some(description) = description {
            places.retain(|place| plan::plan(&description, place).is_some());
        }
        Ok(places)
    }

    /// A place by its own name.
    pub async fn place_by_name(&self, name: &str) -> Result<PlaceWithStats, AgentError> {
        let places = self.farm().places().await?;
        let place = places.into_iter().find(|place| place.name == name);
        let place = place.ok_or_else(|| AgentError::NoPlace(name.to_owned()))?;
        let stats = self.farm().stats(place.id).await?;
        Ok(PlaceWithStats { place, stats })
    }

    /// The place of a reservation.
    pub async fn reserved_place(&self, name: &str) -> Result<PlaceWithStats, AgentError> {
        let place = {
            let _lock = self.0.locks.lock(name).await;
            self.0.table.with(name, |reservation| reservation.seat.place())?
        };
        let stats = self.farm().stats(place.id).await?;
        Ok(PlaceWithStats { place, stats })
    }

    /// Who has which of the places that are there.
    pub async fn holders(&self) -> Result<Vec<Holder>, AgentError> {
        let (places, holdings) = futures::try_join!(self.farm().places(), self.farm().holdings())?;
        let name = |id: PlaceId| places.iter().find(|place| place.id == id).map(|place| place.name.clone());
        let holder =
            |holding: farm::Holding| Some(Holder { place_name: name(holding.place_id)?, user: holding.user });
        Ok(holdings.into_iter().filter_map(holder).collect())
    }

    /// Follows what happens to reservations; never returns.
    pub async fn follow(&self) {
        loop {
            if let Some((name, why)) = self.follow_one().await {
                tracing::error!(name, why, "a reservation has ended");
            }
        }
    }

    /// Follows what happens to reservations until the one of this name has ended; why it has.
    pub async fn follow_until_gone(&self, name: &str) -> String {
        loop {
            match self.follow_one().await {
                Some((ended, why)) if ended == name => return why,
                Some((ended, why)) => tracing::error!(name = ended, why, "a reservation has ended"),
                None => {}
            }
        }
    }

    /// Takes the next happening; the reservation that it ended, and why.
    async fn follow_one(&self) -> Option<(String, String)> {
        match self.farm().next().await {
            Happening::Moved { was, now } => {
                self.0.table.moved(was, now);
                None
            }
            Happening::Ended { place, why } => {
                let name = self.0.table.name_of(place)?;
                let _lock = self.0.locks.lock(&name).await;
                if self.0.table.name_of(place).as_ref() != Some(&name) {
                    return None;
                }
                // It is there: nothing takes it away while its name is locked.
                let _ = self.close(&name).await;
                self.0.table.remove(&name);
                Some((name, why))
            }
        }
    }

    /// Detaches everything and gives it back.
    pub async fn stop(&self) {
        let reservations = self.0.table.take_all();
        let mut tunnels = Vec::new();
        for mut reservation in reservations {
            reservation.auto_return = None;
            tunnels.extend(reservation.take_open());
        }
        close_all(tunnels).await;
        self.farm().leave().await;
    }
}

async fn close_all(tunnels: Vec<Tunnel>) {
    futures::future::join_all(tunnels.into_iter().map(Tunnel::close)).await;
}

/// Waits for work that goes on when whoever wanted it is gone: half of it would be worse.
async fn finish<T>(work: JoinHandle<Result<T, AgentError>>) -> Result<T, AgentError> {
    work.await.unwrap_or(Err(AgentError::Stopped))
}
