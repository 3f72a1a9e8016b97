//! Where the database is. Connecting to it is [`super::connect`]'s.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use crate::hub::error::Error;

/// Name of the SQLite file in the data folder.
const SQLITE_FILE: &str = "hub.sqlite";
/// Name of the file beside it that holds bulk data.
const BULK_FILE: &str = "bulk.db";
/// The schema that holds bulk data on PostgreSQL.
const BULK_SCHEMA: &str = "nave_bulk";

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where the database is. Neither of its text forms holds a password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file, by absolute path.
    Sqlite(PathBuf),
    /// A PostgreSQL server, over TCP or a Unix socket.
    Postgres(PostgresUrl),
}

/// `postgres://[user[:password]@][host][:port][/database][?parameters]`, as libpq reads it; a Unix socket is given as
/// `?host=/run/postgresql` or as a percent-encoded host.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: Url,
    /// Where its tables are, if not where the user's usually are.
    schema: Option<&'static str>,
}

impl DatabaseUrl {
    /// The SQLite file of a data folder: what a hub uses unless told otherwise.
    pub fn in_folder(folder: &Path) -> Self {
        Self::Sqlite(folder.join(SQLITE_FILE))
    }

    /// Where the bulk data of the hub is whose database this is: a file beside it, or a schema of its own.
    #[must_use]
    pub fn bulk(&self) -> Self {
        match self {
            Self::Sqlite(path) if path.file_name().is_some_and(|name| name == SQLITE_FILE) => {
                Self::Sqlite(path.with_file_name(BULK_FILE))
            }
            // Of another name there may be several in one folder.
            Self::Sqlite(path) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(".");
                name.push(BULK_FILE);
                Self::Sqlite(path.with_file_name(name))
            }
            Self::Postgres(at) => {
                Self::Postgres(PostgresUrl { url: at.url.clone(), schema: Some(BULK_SCHEMA) })
            }
        }
    }

    /// The schema of its tables, if that is one of the hub's own.
    pub(in crate::hub) fn schema(&self) -> Option<&'static str> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(at) => at.schema,
        }
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// What the driver is given. Holds the password.
    pub(super) fn to_driver_url(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                let mut text = "sqlite://".to_owned();
                for byte in path.as_os_str().as_encoded_bytes() {
                    match byte {
                        b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                            text.push(char::from(*byte));
                        }
                        byte => write!(text, "%{byte:02X}").expect("a String takes any text"),
                    }
                }
                text
            }
            Self::Postgres(PostgresUrl { url, .. }) => {
                let mut url = url.clone();
                let said = |name: &str| url.query_pairs().any(|(key, _)| key == name);
                if is_remote(&url) && !said("sslmode") && !said("ssl-mode") {
                    // The driver's own default falls back to plain text without a word.
                    url.query_pairs_mut().append_pair("sslmode", "verify-full");
                }
                url.into()
            }
        }
    }
}

fn is_remote(url: &Url) -> bool {
    let given = url
        .query_pairs()
        .filter(|(key, _)| key == "host" || key == "hostaddr")
        .last()
        .map(|(_, value)| value.into_owned());
    let host = given.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    let socket = host.starts_with('/') || host.starts_with("%2F") || host.starts_with("%2f");
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !(host.is_empty() || socket || host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The text may hold a password, so no error repeats it.
        let invalid = |problem: &str| Error::invalid("database", problem);
        if let Some(path) = text.strip_prefix("sqlite://") {
            return match PathBuf::from(path) {
                path if path.is_absolute() => Ok(Self::Sqlite(path)),
                _ => Err(invalid("it must name an absolute path after sqlite://")),
            };
        }
        let url = Url::parse(text).map_err(|error| {
            invalid(&format!("it is no URL ({error}); it looks like postgres://USER@HOST/NAME"))
        })?;
        match url.scheme() {
            "postgres" | "postgresql" => Ok(Self::Postgres(PostgresUrl { url, schema: None })),
            _ => Err(invalid("it must begin with postgres:// (or sqlite:///PATH)")),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(PostgresUrl { url, schema }) => {
                // Put together from the harmless parts: a password can also hide among the parameters.
                f.write_str("postgres://")?;
                if !url.username().is_empty() {
                    write!(f, "{}@", url.username())?;
                }
                f.write_str(url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())?;
                if let Some((_, host)) = url.query_pairs().find(|(key, _)| key == "host") {
                    write!(f, "?host={host}")?;
                }
                schema.map_or(Ok(()), |schema| write!(f, " (schema {schema})"))
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn no_text_form_holds_a_password() {
        for text in [
            "postgres://nave:hunter2@db.example:5433/nave?sslmode=require",
            "postgres://nave@db.example/nave?password=hunter2",
            "postgresql:///nave?host=/run/postgresql&user=nave&password=hunter2",
        ] {
            let url = parse(text);
            assert!(!format!("{url} {url:?}").contains("hunter2"), "{url}");
        }
        assert_eq!(parse("postgres://a:b@h:1/d?password=c").to_string(), "postgres://a@h:1/d");
        assert_eq!(parse("postgres:///d?host=/run/pg").to_string(), "postgres:///d?host=/run/pg");
    }

    #[test]
    fn a_server_elsewhere_must_prove_itself_unless_the_url_says_otherwise() {
        for (text, verified) in [
            ("postgres://nave@db.example/nave", true),
            ("postgres://nave@10.0.0.5/nave", true),
            ("postgres://nave@localhost/nave?host=10.0.0.5", true),
            ("postgres://nave@db.example/nave?sslmode=disable", false),
            ("postgres://nave@localhost/nave", false),
            ("postgres://nave@[::1]/nave", false),
            ("postgres:///nave?host=/run/postgresql", false),
            ("postgres://nave@%2Frun%2Fpostgresql/nave", false),
        ] {
            assert_eq!(parse(text).to_driver_url().contains("verify-full"), verified, "{text}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused_without_repeating_it() {
        for text in ["", "nave.db", "mysql://u:hunter2@h/d", "sqlite://relative", "postgres://[hunter2"] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.starts_with("database: "), "{error}");
        }
    }

    #[test]
    fn bulk_data_has_a_place_of_its_own() {
        assert_eq!(parse("sqlite:///data/hub.sqlite").bulk().to_string(), "sqlite:///data/bulk.db");
        assert_eq!(parse("sqlite:///data/a.db").bulk().to_string(), "sqlite:///data/a.db.bulk.db");
        let bulk = parse("postgres://a:b@h:1/d").bulk();
        assert_eq!(bulk.to_string(), "postgres://a@h:1/d (schema nave_bulk)");
        assert_eq!(bulk.to_driver_url(), parse("postgres://a:b@h:1/d").to_driver_url());
    }

    #[test]
    fn any_path_survives_the_way_to_the_driver() {
        let url = DatabaseUrl::Sqlite("/tmp/a b/ü#?%41.db".into());
        assert_eq!(url.to_driver_url(), "sqlite:///tmp/a%20b/%C3%BC%23%3F%2541.db");
    }
}
