//! The hub's half: which places there are, who has them, and by which protocols exporters and agents come in.

pub mod bookings;
pub mod commands;
pub mod config;
mod dialect;
pub mod farm;
mod fleet;
mod gate;
pub mod maintenance;
mod native;
mod outlook;
pub mod pages;
mod places;
mod reserve;
pub mod terminal;
mod uniqueness;
pub mod usage;
pub mod wish;

use std::sync::Arc;

use nave_core::api::NodeRole;
use nave_core::hub::access::{Action, NodeRoles, Roles};
use nave_core::hub::config::ConfigError;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::Pool;

use self::config::BoardsConfig;
use self::dialect::not_my_board::{Auth, Logins, Sessions};
use self::maintenance::OutOfService;
use self::places::Places;

pub use self::dialect::not_my_board::{METHODS, is_registration};

/// Seeing the places, and who has them.
pub const READ: Action =
    Action::new("place.read", Roles::ANY).and_nodes(NodeRoles::of(&[NodeRole::Exporter, NodeRole::Importer]));
/// Putting a place into the farm.
pub const REGISTER: Action =
    Action::new("place.register", Roles::OPERATORS).and_nodes(NodeRoles::of(&[NodeRole::Exporter]));
/// Reserving a place, and returning what one has.
pub const RESERVE: Action =
    Action::new("place.reserve", Roles::OPERATORS).and_nodes(NodeRoles::of(&[NodeRole::Importer]));
/// Taking a place away from whoever has it.
pub const MANAGE: Action = Action::new("place.manage", Roles::OPERATORS);

/// The name of the fleet, and of the pool that places are leased from.
const NAME: &str = "boards";

/// The board fleet. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub struct Boards(Arc<Shared>);

struct Shared {
    config: BoardsConfig,
    places: Places,
    maintenance: OutOfService,
    logins: Logins,
    sessions: Sessions,
    auth: Option<Auth>,
    connections: std::sync::atomic::AtomicU64,
}

impl Boards {
    /// A fleet without places.
    ///
    /// # Errors
    ///
    /// When tokens of a provider cannot be checked as the configuration says.
    pub fn new(config: BoardsConfig) -> Result<Self, ConfigError> {
        let auth = Auth::new(&config.not_my_board)?;
        Ok(Self(Arc::new(Shared {
            config,
            auth,
            sessions: Sessions::default(),
            places: Places::default(),
            maintenance: OutOfService::default(),
            logins: Logins::default(),
            connections: std::sync::atomic::AtomicU64::new(0),
        })))
    }

    fn config(&self) -> &BoardsConfig {
        &self.0.config
    }

    fn places(&self) -> &Places {
        &self.0.places
    }

    fn maintenance(&self) -> &OutOfService {
        &self.0.maintenance
    }

    /// The next connection's number, from 1: exporters, agents and sign-ins are counted alike.
    fn next_connection(&self) -> u64 {
        self.0.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
    }

    fn pool(hub: &Hub) -> Result<&Arc<Pool>> {
        hub.leases.pool(NAME).ok_or_else(|| Error::internal("the board fleet has no pool"))
    }
}
