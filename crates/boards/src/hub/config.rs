//! `[boards]` in the hub's configuration file.

use std::net::IpAddr;
use std::time::Duration;

use nave_core::api::Role as PersonRole;
use nave_core::hub::access::Scope;
use nave_core::hub::config::{ConfigError, NetworkText, Period, fleet_table};
use nave_core::hub::op::{Actor, Op};
use serde::{Deserialize, Serialize};

pub use super::dialect::not_my_board::{
    AuthTable, Fate, Imported, IssuerTable, Note, Permission, Role, import,
};

/// `[boards]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoardsConfig {
    /// How long a reservation outlives the connection of its holder, or of its place (2m).
    pub grace: Period,
    /// How much more unique than the most common place one may be and still be chosen as if it were as common (0.01).
    pub uniqueness_tolerance: f64,
    /// For how long whoever waits for several places at once lets others take them one by one; then those that become
    /// free are kept for it (1h).
    pub several_patience: Period,
    /// Who is served first.
    pub priority: PriorityTable,
    /// not-my-board's programs.
    pub not_my_board: NotMyBoardConfig,
}

/// `[boards.priority]`: of those who wait, whoever has the highest number is served first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorityTable {
    /// Administrators, and whoever runs the command line on the hub's own machine.
    pub admin: i32,
    /// Operators.
    pub operator: i32,
    /// Researchers.
    pub researcher: i32,
    /// Viewers.
    pub viewer: i32,
    /// Nodes that nobody signed in on.
    pub node: i32,
    /// Clients of not-my-board.
    pub client: i32,
}

impl PriorityTable {
    /// The priority of whoever asks. Of several roles the highest counts; an API token has no more than its role has.
    pub fn of(&self, op: &Op) -> i32 {
        match &op.actor {
            Actor::Operator { .. } => self.admin,
            Actor::Node { .. } => self.node,
            Actor::Client(_) => self.client,
            Actor::Person(person) => {
                let everywhere = person.rights.held().iter().filter(|(_, scope)| *scope == Scope::Everything);
                let own = everywhere.map(|(role, _)| self.of_role(*role)).max().unwrap_or_default();
                person.rights.ceiling().map_or(own, |role| own.min(self.of_role(role)))
            }
            Actor::Hub(_) | Actor::Anonymous => 0,
        }
    }

    fn of_role(&self, role: PersonRole) -> i32 {
        match role {
            PersonRole::Admin => self.admin,
            PersonRole::Operator => self.operator,
            PersonRole::Researcher => self.researcher,
            PersonRole::Viewer => self.viewer,
        }
    }
}

/// `[boards.not_my_board]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotMyBoardConfig {
    /// Whether not-my-board's exporters and agents may come.
    pub enabled: bool,
    /// Networks whose clients need no sign-in.
    pub open_to: Vec<NetworkText>,
    /// Proxies that say in `X-Forwarded-For` for whom they ask.
    pub proxies: Vec<NetworkText>,
    /// Whether people and machines of this hub sign in as themselves, with what their roles let them do.
    pub people: bool,
    /// Sign-in by tokens of OpenID providers, for clients from elsewhere.
    pub auth: Option<AuthTable>,
}

impl Default for BoardsConfig {
    fn default() -> Self {
        Self {
            grace: Period(Duration::from_mins(2)),
            uniqueness_tolerance: 0.01,
            several_patience: Period(Duration::from_hours(1)),
            priority: PriorityTable::default(),
            not_my_board: NotMyBoardConfig::default(),
        }
    }
}

impl BoardsConfig {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// When a key is not known, or a value makes no sense.
    pub fn read(table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Self = fleet_table("boards", table)?;
        let dialect = &config.not_my_board;
        if dialect.enabled && dialect.open_to.is_empty() && dialect.auth.is_none() && !dialect.people {
            return Err(ConfigError::new(
                "boards.not_my_board is enabled and open to nobody: let the people of this hub sign in with people = true, name the networks of its clients in open_to, as in open_to = [\"10.0.0.0/8\"], or say in [boards.not_my_board.auth] how they sign in",
            ));
        }
        if let Some(auth) = &dialect.auth {
            auth.check(dialect.people)?;
        }
        if !(0.0..=1.0).contains(&config.uniqueness_tolerance) {
            return Err(ConfigError::new("boards.uniqueness_tolerance must be from 0 to 1"));
        }
        Ok(config)
    }
}

impl NotMyBoardConfig {
    /// Whether clients from there need no sign-in.
    pub fn is_open_to(&self, address: IpAddr) -> bool {
        contains(&self.open_to, address)
    }

    /// Whether what is there is a proxy whose word is taken.
    pub fn trusts(&self, address: IpAddr) -> bool {
        contains(&self.proxies, address)
    }

    /// Whether a network that it is open to is everything there is.
    pub fn is_open_to_everyone(&self) -> bool {
        self.enabled && self.open_to.iter().any(|network| network.0.prefix_len() == 0)
    }
}

fn contains(networks: &[NetworkText], address: IpAddr) -> bool {
    networks.iter().any(|network| network.0.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nave_core::clock::Clock;
    use nave_core::hub::access::Rights;
    use nave_core::hub::op::{Person, Via};
    use nave_core::id::{PersonId, TokenId};

    use super::*;

    fn read(text: &str) -> Result<BoardsConfig, ConfigError> {
        BoardsConfig::read(&text.parse().unwrap())
    }

    #[test]
    fn everything_that_can_be_set() {
        let config = read(
            r#"
            grace = "30s"
            uniqueness_tolerance = 0.1
            several_patience = "10m"
            [priority]
            operator = 10
            client = -5
            [not_my_board]
            enabled = true
            open_to = ["10.0.0.0/8", "::1"]
            proxies = ["127.0.0.1"]
            "#,
        )
        .unwrap();
        assert!(config.not_my_board.is_open_to("10.1.2.3".parse().unwrap()));
        assert!(!config.not_my_board.is_open_to("11.1.2.3".parse().unwrap()));
        assert!(config.not_my_board.trusts("127.0.0.1".parse().unwrap()));
        assert!(!config.not_my_board.is_open_to_everyone());
        assert_eq!((config.priority.operator, config.priority.client, config.priority.node), (10, -5, 0));
        assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(read("").unwrap(), BoardsConfig::default());
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("[not_my_board]\nenabled = true").contains("open to nobody"));
        assert!(error("[not_my_board]\nenable = true").ends_with("did you mean \"enabled\"?"));
        assert!(error("uniqueness_tolerance = 2.0").contains("from 0 to 1"));
        assert!(error("[priority]\nclients = 3").ends_with("did you mean \"client\"?"));
        assert!(error("[priority]\nclient = 0.5").contains("priority.client"));
    }

    #[test]
    fn of_several_roles_the_highest_counts() {
        let table = PriorityTable {
            admin: 5,
            operator: 10,
            researcher: -3,
            node: 2,
            client: 1,
            ..PriorityTable::default()
        };
        let of = |rights: Rights| {
            let actor = Actor::Person(Person {
                id: PersonId::new(),
                name: "Ada".to_owned(),
                rights: Arc::new(rights),
                via: Via::Token(TokenId::new()),
            });
            table.of(&Op { actor, ..Op::hub("test", Clock::system()) })
        };
        let everywhere =
            |roles: &[PersonRole]| Rights::new(roles.iter().map(|role| (*role, Scope::Everything)).collect());
        assert_eq!(of(everywhere(&[PersonRole::Admin])), 5);
        assert_eq!(of(everywhere(&[PersonRole::Admin, PersonRole::Operator])), 10);
        assert_eq!(of(everywhere(&[PersonRole::Researcher])), -3);
        assert_eq!(of(everywhere(&[PersonRole::Admin]).under(PersonRole::Researcher, Scope::Everything)), -3);
        assert_eq!(of(everywhere(&[PersonRole::Researcher]).under(PersonRole::Admin, Scope::Everything)), -3);
        let elsewhere = Scope::One { kind: "node", id: "lab".to_owned() };
        assert_eq!(of(Rights::new(vec![(PersonRole::Operator, elsewhere)])), 0);
        assert_eq!(
            table.of(&Op { actor: Actor::Operator { uid: 0 }, ..Op::hub("test", Clock::system()) }),
            5
        );
    }

    #[test]
    fn the_page_about_it_is_true() {
        let page = include_str!("../../../../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let everything: toml::Table = example.parse().unwrap();
        let told = BoardsConfig::read(everything["boards"].as_table().unwrap()).unwrap();
        let default = BoardsConfig::default();
        assert_eq!((told.grace, told.uniqueness_tolerance), (default.grace, default.uniqueness_tolerance));
        let set = |name: &str| everything["boards"][name].as_table().map_or(0, toml::Table::len);
        assert_eq!(told.several_patience, default.several_patience);
        assert_eq!(set("priority"), 6, "a setting of [boards.priority] is missing on the page");
        assert_eq!(set("not_my_board"), 5, "a setting of [boards.not_my_board] is missing on the page");
    }
}
