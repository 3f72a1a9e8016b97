//! not-my-board's own `hub.toml`, as settings of this hub: what is taken over, what means something else here, and what
//! there is no place for. The form is that of version 0.13.0. Files are read and written by whoever calls.

use nave_core::hub::config::ConfigError;
use nave_core::hub::people::oidc::Issuer;
use serde_json::Value;
use toml::{Table, Value as Toml};

use super::auth::{AuthTable, IssuerTable, Permission, Role};

/// The largest file that is read, in bytes.
const MAX_SIZE: usize = 256 << 10;

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// `[boards.not_my_board.auth]`; `None` where the farm asked nobody who they are.
    pub auth: Option<AuthTable>,
    /// `boards.uniqueness_tolerance`, where it is said.
    pub uniqueness_tolerance: Option<f64>,
    /// What whoever moves the farm should know.
    pub notes: Vec<Note>,
}

/// Something to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What became of it.
    pub fate: Fate,
    /// In words.
    pub words: String,
}

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is taken over, and means the same.
    Taken,
    /// It is taken over, and means something else.
    Different,
    /// It is not taken over.
    Left,
}

impl Fate {
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Different => "different",
            Self::Left => "left out",
        }
    }
}

/// Reads a file of not-my-board's hub.
///
/// # Errors
///
/// When it is no such file, or says something that not-my-board's own hub would not start with.
pub fn import(text: &str) -> Result<Imported, ConfigError> {
    if text.len() > MAX_SIZE {
        return Err(ConfigError::new(format!("it is longer than {MAX_SIZE} bytes")));
    }
    let file: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::new(error.to_string()))?;
    let mut imported = Imported::default();
    for (key, value) in file {
        match key.as_str() {
            "auth" => imported.auth(value)?,
            "uniqueness_tolerance" => imported.tolerance(&value)?,
            "log_level" => imported.note(
                Fate::Left,
                "log_level: how much this hub logs is said by NAVE_LOG in its environment, as in NAVE_LOG=debug",
            ),
            other => imported.unknown(other),
        }
    }
    if imported.auth.is_none() {
        imported.note(
            Fate::Different,
            "there is no [auth]: not-my-board's hub lets everybody in then. This one wants to know from where, in open_to",
        );
    }
    Ok(imported)
}

fn text(key: &str, value: Toml) -> Result<String, ConfigError> {
    match value {
        Toml::String(text) => Ok(text),
        _ => Err(ConfigError::new(format!("{key} must be a text"))),
    }
}

fn list(key: &str, value: Toml) -> Result<Vec<Toml>, ConfigError> {
    match value {
        Toml::Array(values) => Ok(values),
        _ => Err(ConfigError::new(format!("{key} must be a list"))),
    }
}

fn texts(key: &str, value: Toml) -> Result<Vec<String>, ConfigError> {
    list(key, value)?.into_iter().map(|value| text(key, value)).collect()
}

fn table(key: &str, value: Toml) -> Result<Table, ConfigError> {
    match value {
        Toml::Table(table) => Ok(table),
        _ => Err(ConfigError::new(format!("{key} must be a table"))),
    }
}

fn missing(key: &str) -> ConfigError {
    ConfigError::new(format!("{key} is missing: not-my-board's hub does not start without it"))
}

impl Imported {
    fn note(&mut self, fate: Fate, words: impl Into<String>) {
        self.notes.push(Note { fate, words: words.into() });
    }

    fn unknown(&mut self, key: &str) {
        self.note(Fate::Left, format!("{key}: not-my-board 0.13.0 does not know this setting either"));
    }

    fn tolerance(&mut self, value: &Toml) -> Result<(), ConfigError> {
        let number = match value {
            Toml::Float(number) => Some(*number),
            Toml::Integer(number) => u32::try_from(*number).ok().map(f64::from),
            _ => None,
        };
        let number = number
            .ok_or_else(|| ConfigError::new("uniqueness_tolerance must be a number, and not less than 0"))?;
        // Nothing is rarer than by 1.
        let within = number.clamp(0.0, 1.0);
        self.uniqueness_tolerance = Some(if within.is_nan() { 0.0 } else { within });
        self.note(Fate::Taken, format!("uniqueness_tolerance, as boards.uniqueness_tolerance = {within:?}"));
        Ok(())
    }

    fn auth(&mut self, value: Toml) -> Result<(), ConfigError> {
        let mut auth = table("auth", value)?;
        let mut required = |key: &str| auth.remove(key).ok_or_else(|| missing(&format!("auth.{key}")));
        let main = text("auth.issuer", required("issuer")?)?;
        let client_id = text("auth.client_id", required("client_id")?)?;
        let permissions = list("auth.permissions", required("permissions")?)?;
        let issuers = auth.remove("issuers").unwrap_or_else(|| Toml::Table(Table::new()));
        let mut taken = AuthTable {
            issuer: Some(issuer(&main)?),
            client_id: Some(client_id),
            ca: None,
            permissions: Vec::new(),
            issuers: std::collections::BTreeMap::new(),
        };
        self.note(
            Fate::Taken,
            format!("auth.issuer and auth.client_id: people go on signing in at {main}, where this hub's address with /oidc-callback has to be registered as the redirect URI"),
        );
        for (at, value) in permissions.into_iter().enumerate() {
            let name = format!("auth.permissions[{at}]");
            if let Some(permission) = self.permission(&name, value)? {
                taken.permissions.push(permission);
            }
        }
        for (address, value) in table("auth.issuers", issuers)? {
            let name = format!("auth.issuers.{address:?}");
            let settings = self.issuer_settings(&name, value)?;
            taken.issuers.insert(issuer(&address)?, settings);
            self.note(Fate::Taken, name);
        }
        for key in auth.keys() {
            self.unknown(&format!("auth.{key}"));
        }
        self.auth = Some(taken);
        Ok(())
    }

    /// `None` for one that gives nothing.
    fn permission(&mut self, name: &str, value: Toml) -> Result<Option<Permission>, ConfigError> {
        let mut value = table(name, value)?;
        let mut required = |key: &str| value.remove(key).ok_or_else(|| missing(&format!("{name}.{key}")));
        let claims = table(&format!("{name}.claims"), required("claims")?)?;
        let words = texts(&format!("{name}.roles"), required("roles")?)?;
        let mut roles = std::collections::BTreeSet::new();
        for word in &words {
            match word.as_str() {
                "exporter" => drop(roles.insert(Role::Exporter)),
                "importer" => drop(roles.insert(Role::Importer)),
                other => self.note(Fate::Left, format!("{name}: there is no role {other:?}, there either")),
            }
        }
        let mut taken = serde_json::Map::new();
        for (claim, value) in claims {
            if claim == "iss" {
                issuer(&text(&format!("{name}.claims.iss"), value.clone())?)?;
            }
            if value.is_array() {
                self.note(
                    Fate::Different,
                    format!("{name}: a token must have everything that claims.{claim} lists; 0.13.0 also let some tokens pass that have other values"),
                );
            }
            let Some(value) = json(value) else {
                self.note(
                    Fate::Left,
                    format!("{name}: claims.{claim} is a date or a number that no token can hold, so nobody ever had this permission"),
                );
                return Ok(None);
            };
            taken.insert(claim, value);
        }
        for key in value.keys() {
            self.unknown(&format!("{name}.{key}"));
        }
        if roles.is_empty() {
            self.note(Fate::Left, format!("{name}: it gives no role"));
            return Ok(None);
        }
        self.note(Fate::Taken, name);
        Ok(Some(Permission { claims: taken, roles }))
    }

    fn issuer_settings(&mut self, name: &str, value: Toml) -> Result<IssuerTable, ConfigError> {
        let mut value = table(name, value)?;
        let mut list =
            |key: &str| value.remove(key).map(|value| texts(&format!("{name}.{key}"), value)).transpose();
        let show_claims = list("show_claims")?;
        let formats = list("user_name_formats")?.unwrap_or_default();
        for key in value.keys() {
            self.unknown(&format!("{name}.{key}"));
        }
        Ok(IssuerTable {
            show_claims,
            user_name_formats: formats.iter().map(|format| braced(format)).collect(),
        })
    }
}

fn issuer(text: &str) -> Result<Issuer, ConfigError> {
    Issuer::try_from(text.to_owned())
        .map_err(|error| ConfigError::new(format!("the issuer {text:?} cannot be used: {error}")))
}

/// A value as a token would have it.
fn json(value: Toml) -> Option<Value> {
    match value {
        Toml::String(text) => Some(Value::String(text)),
        Toml::Integer(number) => Some(Value::from(number)),
        Toml::Float(number) => serde_json::Number::from_f64(number).map(Value::Number),
        Toml::Boolean(truth) => Some(Value::Bool(truth)),
        Toml::Datetime(_) => None,
        Toml::Array(values) => values.into_iter().map(json).collect::<Option<_>>().map(Value::Array),
        Toml::Table(table) => {
            let members = table.into_iter().map(|(key, value)| Some((key, json(value)?)));
            members.collect::<Option<_>>().map(Value::Object)
        }
    }
}

/// A format of a name with `${claim}` where Python also takes `$claim`.
fn braced(format: &str) -> String {
    let (mut out, mut rest) = (String::new(), format);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let name_ends = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let is_name = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if is_name {
            out.push_str(&format!("${{{}}}", &after[..name_ends]));
            rest = &after[name_ends..];
        } else if let Some(after) = after.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Fate::{Different, Left, Taken};
    use super::*;

    fn words(text: &str) -> Vec<(Fate, String)> {
        import(text).unwrap().notes.into_iter().map(|note| (note.fate, note.words)).collect()
    }

    #[test]
    fn everything_that_a_file_can_say() {
        let imported = import(
            r#"
            log_level = "debug"
            uniqueness_tolerance = 0.05
            [auth]
            issuer = "https://id.example.org"
            client_id = "farm"
            [[auth.permissions]]
            claims = { sub = "lab", n = 5, deep = { a = [true, 1.5] } }
            roles = ["exporter"]
            [[auth.permissions]]
            claims.iss = "https://token.actions.githubusercontent.com"
            claims.repository_owner = "example"
            roles = ["importer", "exporter"]
            [auth.issuers."https://id.example.org"]
            show_claims = ["sub"]
            user_name_formats = ["$name of ${org} for $$5", "${sub}"]
            "#,
        )
        .unwrap();
        let auth = imported.auth.unwrap();
        assert_eq!(
            (auth.issuer.as_ref().unwrap().as_str(), auth.client_id.as_deref()),
            ("https://id.example.org", Some("farm"))
        );
        assert_eq!(auth.permissions.len(), 2);
        assert_eq!(auth.permissions[0].claims["deep"], serde_json::json!({ "a": [true, 1.5] }));
        let settings = auth.issuers.values().next().unwrap();
        assert_eq!(settings.user_name_formats, ["${name} of ${org} for $$5", "${sub}"]);
        assert_eq!(imported.uniqueness_tolerance, Some(0.05));
        let left: Vec<&Note> = imported.notes.iter().filter(|note| note.fate == Fate::Left).collect();
        assert!(left.len() == 1 && left[0].words.contains("NAVE_LOG"), "{left:?}");
    }

    #[test]
    fn what_means_something_else_is_told() {
        let auth = "[auth]\nissuer = \"https://i\"\nclient_id = \"c\"\n";
        let told = words(&format!(
            "{auth}permissions = [{{ claims = {{ groups = [\"a\"] }}, roles = [\"importer\", \"boss\"], x = 1 }}]\nmore = 1\n"
        ));
        let fates: Vec<Fate> = told.iter().map(|(fate, _)| *fate).collect();
        assert_eq!(fates, [Taken, Left, Different, Left, Taken, Left], "{told:?}");
        let nothing = words("");
        assert!(nothing.len() == 1 && nothing[0].1.contains("open_to"), "{nothing:?}");
        let never = import(&format!(
            "{auth}permissions = [{{ claims = {{ born = 1999-01-01 }}, roles = [\"importer\"] }}]"
        ))
        .unwrap();
        assert!(never.auth.unwrap().permissions.is_empty());
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for (text, problem) in [
            ("auth = 5", "must be a table"),
            ("[auth]", "auth.issuer is missing"),
            ("[auth]\nissuer = 5", "must be a text"),
            (
                "[auth]\nissuer = \"http://elsewhere.example\"\nclient_id = \"c\"\npermissions = []",
                "cannot be used",
            ),
            (
                "[auth]\nissuer = \"https://i\"\nclient_id = \"c\"\npermissions = [{ claims = {} }]",
                "roles is missing",
            ),
            ("uniqueness_tolerance = \"much\"", "must be a number"),
            ("not toml", "expected"),
        ] {
            let told = import(text).unwrap_err().to_string();
            assert!(told.contains(problem), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn names_mean_the_same_in_braces(parts in prop::collection::vec("[$a-z{}_ 0-9]{0,4}", 0..6)) {
            let format = parts.concat();
            let once = braced(&format);
            prop_assert_eq!(braced(&once), once.clone());
            prop_assert_eq!(once.matches("$$").count() >= format.matches("$$").count(), true);
        }

        #[test]
        fn no_file_stops_it(text in "\\PC{0,200}") {
            let _ = import(&text);
        }
    }
}
