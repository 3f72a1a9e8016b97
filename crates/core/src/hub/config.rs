//! The hub's configuration file. Every key is known: a misspelt one is refused with the nearest known one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nave_link::address::HubUrl;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::context::{JoinWithAccessKey, NodeSettings};
use super::edge::{Address, IpNet, Limits, ListenerConfig};
use super::identity::KeyKind;
use super::mail::MailTable;
use super::people::config::PeopleTable;

/// The largest configuration that is read, in bytes.
const MAX_SIZE: usize = 256 << 10;

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// What is wrong, and what to do.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// `/etc/nave/hub.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubConfig {
    /// Addresses to listen on, each with identity `self` (or `files`, if a certificate is configured).
    pub listen: Vec<SocketAddr>,
    /// Listeners with settings of their own.
    pub listener: Vec<ListenerTable>,
    /// The address that invitations name.
    pub url: Option<HubUrl>,
    /// `postgres://…`; without it, a file in the data folder.
    pub database: Option<String>,
    /// Certificates.
    pub tls: TlsTable,
    /// Nodes.
    pub nodes: NodesTable,
    /// Joining.
    pub join: JoinTable,
    /// People.
    pub people: PeopleTable,
    /// The audit log.
    pub events: EventsTable,
    /// Metrics.
    pub metrics: MetricsTable,
    /// Mail; without it, links are shown on the screen instead.
    pub mail: Option<MailTable>,
    /// What connections may take.
    pub limits: LimitsTable,
    /// The board fleet's settings, which it reads itself with [`fleet_table`].
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub boards: toml::Table,
    /// The agent fleet's settings, likewise.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub agents: toml::Table,
}

/// Reads a fleet's table of the configuration, with the same words about mistakes.
///
/// # Errors
///
/// When a key is not known, or a value makes no sense.
pub fn fleet_table<T: DeserializeOwned>(name: &str, table: &toml::Table) -> Result<T, ConfigError> {
    T::deserialize(table.clone())
        .map_err(|error| ConfigError(format!("[{name}] {}", explain(&error.to_string()))))
}

/// `[[listener]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTable {
    /// For the log.
    #[serde(default)]
    pub name: Option<String>,
    /// Where to listen.
    pub address: SocketAddr,
    /// `self`, `ca` or `files`.
    #[serde(default = "own")]
    pub identity: String,
    /// Balancers that put a PROXY protocol version 2 header before every connection.
    #[serde(default)]
    pub proxy_from: Vec<NetworkText>,
}

fn own() -> String {
    "self".to_owned()
}

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsTable {
    /// A certificate with its chain, in PEM: identity `files`.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The kind of key that identity `self` is made with.
    pub self_key: KeyKind,
    /// The host that `nave ca issue` made a certificate for: identity `ca`.
    pub ca_host: Option<String>,
}

/// `[nodes]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodesTable {
    /// How often a node pings (10s).
    pub heartbeat: Option<Period>,
    /// After how much silence a node is lost (30s).
    pub lost_after: Option<Period>,
}

/// `[join]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JoinTable {
    /// What becomes of a machine that shows the shared access key: `pending`, `approve` or `refuse`.
    pub with_access_key: Option<JoinWithAccessKey>,
}

/// `[events]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsTable {
    /// For how long the audit log is kept (400d).
    pub keep: Option<Period>,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsTable {
    /// A file with the token that lets others than loopback read `/metrics`.
    pub token_file: Option<PathBuf>,
}

/// `[limits]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsTable {
    /// Time until TLS stands (10s).
    pub handshake: Option<Period>,
    /// Time until a request's head is there (10s).
    pub header: Option<Period>,
    /// Time without a request (75s).
    pub idle: Option<Period>,
    /// Connections from one address, one /64 in IPv6 (1024).
    pub connections_per_address: Option<usize>,
    /// Connections altogether (10000).
    pub connections: Option<usize>,
}

impl HubConfig {
    /// Reads a configuration.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_SIZE {
            return Err(ConfigError(format!("it is longer than {MAX_SIZE} bytes")));
        }
        let config: Self = toml::from_str(text).map_err(|error| ConfigError(explain(&error.to_string())))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let nodes = self.node_settings();
        if nodes.heartbeat.is_zero() || nodes.lost_after < nodes.heartbeat * 2 {
            return Err(ConfigError("nodes.lost_after must be at least twice nodes.heartbeat".to_owned()));
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            return Err(ConfigError(
                "tls.cert and tls.key belong together: name both files or neither".to_owned(),
            ));
        }
        self.people.check().map_err(ConfigError)?;
        if let Some(mail) = &self.mail {
            mail.check().map_err(ConfigError)?;
        }
        for listener in &self.listener {
            let known = match listener.identity.as_str() {
                "self" => true,
                "files" => self.tls.cert.is_some(),
                "ca" => self.tls.ca_host.is_some(),
                _ => false,
            };
            if !known {
                return Err(ConfigError(format!(
                    "listener {}: there is no identity {:?}: it must be self, files (with tls.cert and tls.key), or ca (with tls.ca_host)",
                    listener.address, listener.identity
                )));
            }
        }
        Ok(())
    }

    /// What it says about nodes.
    pub fn node_settings(&self) -> NodeSettings {
        let default = NodeSettings::default();
        let or = |period: &Option<Period>, default| period.map_or(default, |period| period.0);
        NodeSettings {
            heartbeat: or(&self.nodes.heartbeat, default.heartbeat),
            lost_after: or(&self.nodes.lost_after, default.lost_after),
            join_with_access_key: self.join.with_access_key.unwrap_or(default.join_with_access_key),
            keep_events: or(&self.events.keep, default.keep_events),
        }
    }

    /// What it says about connections.
    pub fn connection_limits(&self) -> Limits {
        let (default, table) = (Limits::default(), &self.limits);
        let or = |period: &Option<Period>, default| period.map_or(default, |period| period.0);
        Limits {
            handshake: or(&table.handshake, default.handshake),
            header: or(&table.header, default.header),
            idle: or(&table.idle, default.idle),
            connections_per_address: table.connections_per_address.unwrap_or(default.connections_per_address),
            connections: table.connections.unwrap_or(default.connections),
            ..default
        }
    }

    /// Every listener; the default one if none is named.
    pub fn listeners(&self, inherited: &[RawFd]) -> Vec<ListenerConfig> {
        let identity = if self.tls.cert.is_some() { "files" } else { "self" };
        let plain = |name: String, address: Address| ListenerConfig {
            name,
            address,
            identity: identity.to_owned(),
            proxy_from: Vec::new(),
        };
        let mut listeners: Vec<ListenerConfig> = inherited
            .iter()
            .map(|number| plain(format!("fd {number}"), Address::Inherited(*number)))
            .collect();
        listeners
            .extend(self.listen.iter().map(|address| plain(address.to_string(), Address::Tcp(*address))));
        listeners.extend(self.listener.iter().map(|table| ListenerConfig {
            name: table.name.clone().unwrap_or_else(|| table.address.to_string()),
            address: Address::Tcp(table.address),
            identity: table.identity.clone(),
            proxy_from: table.proxy_from.iter().map(|network| network.0).collect(),
        }));
        if listeners.is_empty() {
            let address = SocketAddr::new(default_address(), super::running::DEFAULT_PORT);
            listeners.push(plain(address.to_string(), Address::Tcp(address)));
        }
        listeners
    }
}

/// All addresses of both families, where there are two.
fn default_address() -> std::net::IpAddr {
    match std::net::UdpSocket::bind("[::]:0") {
        Ok(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// Adds the nearest known key to the parser's words about an unknown one.
fn explain(error: &str) -> String {
    let quoted: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if error.contains("unknown field") => {
            let nearest = known
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b)));
            match nearest {
                Some(nearest) => format!("{}\ndid you mean {nearest:?}?", error.trim_end()),
                None => error.trim_end().to_owned(),
            }
        }
        _ => error.trim_end().to_owned(),
    }
}

/// A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is no length of time: write a whole number and ms, s, m, h or d, as in 10s");
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = text[..end].parse().map_err(|_| bad())?;
        let millis = match &text[end..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        number
            .checked_mul(millis)
            .filter(|millis| *millis < 1 << 45)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(bad)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if millis >= size && millis.is_multiple_of(size) {
                return write!(f, "{}{unit}", millis / size);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A network as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkText(pub IpNet);

impl FromStr for NetworkText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |_| format!("{text:?} is no network: write an address, or ADDRESS/BITS");
        match text.parse::<IpNet>() {
            Ok(network) => Ok(Self(network)),
            Err(_) => text.parse::<IpAddr>().map(|address| Self(address.into())).map_err(bad),
        }
    }
}

impl fmt::Display for NetworkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(Period, NetworkText);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_configuration() {
        let config = HubConfig::parse("").unwrap();
        assert_eq!(config, HubConfig::default());
        assert_eq!(config.listeners(&[]).len(), 1);
        assert_eq!(config.listeners(&[0])[0].address, Address::Inherited(0));
    }

    #[test]
    fn everything_that_can_be_set() {
        let config = HubConfig::parse(
            r#"
            listen = ["127.0.0.1:3101"]
            url = "https://hub.example.org"
            database = "postgres:///nave?host=/run/postgresql"
            [[listener]]
            address = "[::1]:443"
            identity = "files"
            proxy_from = ["192.0.2.0/24"]
            [tls]
            cert = "/etc/nave/cert.pem"
            key = "/etc/nave/key.pem"
            self_key = "ecdsa-p256"
            [nodes]
            heartbeat = "5s"
            lost_after = "20s"
            [join]
            with_access_key = "refuse"
            [events]
            keep = "30d"
            [metrics]
            token_file = "/etc/nave/metrics-token"
            [mail]
            server = "smtp.example.org:465"
            tls = "implicit"
            ca = "/etc/nave/mail-ca.pem"
            user = "nave"
            password_file = "/etc/nave/mail-password"
            from = "Nave <nave@example.org>"
            timeout = "30s"
            [limits]
            idle = "1m"
            connections = 100
            "#,
        )
        .unwrap();
        assert_eq!(config.node_settings().heartbeat, Duration::from_secs(5));
        assert_eq!(config.connection_limits().idle, Duration::from_mins(1));
        assert_eq!(config.listeners(&[]).len(), 2);
        let again = HubConfig::parse(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| HubConfig::parse(text).unwrap_err().to_string();
        assert!(error("lisen = []").ends_with("did you mean \"listen\"?"), "{}", error("lisen = []"));
        assert!(error("[nodes]\nheart_beat = \"1s\"").ends_with("did you mean \"heartbeat\"?"));
        assert!(error("[nodes]\nheartbeat = \"soon\"").contains("as in 10s"));
        assert!(error("[nodes]\nheartbeat = \"30s\"").contains("at least twice"));
        assert!(error("[tls]\ncert = \"a\"").contains("belong together"));
        assert!(error("[[listener]]\naddress = \"[::1]:1\"\nidentity = \"x\"").contains("no identity"));
        assert!(error("url = \"http://hub\"").contains("plain HTTP"));
        assert!(error(&"#".repeat(MAX_SIZE + 1)).contains("longer"));
    }

    #[test]
    fn the_page_about_it_is_true() {
        let page = include_str!("../../../../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let told = HubConfig::parse(example).unwrap();
        let default = HubConfig::default();
        assert_eq!(told.node_settings().heartbeat, default.node_settings().heartbeat);
        assert_eq!(told.node_settings().lost_after, default.node_settings().lost_after);
        assert_eq!(told.node_settings().keep_events, default.node_settings().keep_events);
        assert_eq!(told.connection_limits(), default.connection_limits());
        let everything = toml::Value::try_from(&told).unwrap();
        let set = |value: &toml::Value| value.as_table().map_or(1, toml::map::Map::len);
        assert_eq!(set(&everything["tls"]), 4, "a setting of [tls] is missing on the page");
        assert_eq!(set(&everything["mail"]), 7, "a setting of [mail] is missing on the page");
        assert_eq!(set(&everything["people"]), 7, "a setting of [people] is missing on the page");
        let people = PeopleTable { oidc: std::collections::BTreeMap::new(), ..told.people.clone() };
        assert_eq!(people.settings(), default.people.settings());
        let provider = &everything["people"]["oidc"]["example"];
        assert_eq!(set(provider), 12, "a setting of [people.oidc.NAME] is missing on the page");
        assert_eq!(
            set(&provider["roles"][0]),
            4,
            "a setting of [[people.oidc.NAME.roles]] is missing on the page"
        );
        assert_eq!(set(&everything["limits"]), 5, "a setting of [limits] is missing on the page");
    }

    #[test]
    fn periods() {
        for text in ["250ms", "10s", "5m", "2h", "400d"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for bad in ["", "10", "s", "-1s", "1.5s", "99999999999999999999s", "999999999999d"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }
}
