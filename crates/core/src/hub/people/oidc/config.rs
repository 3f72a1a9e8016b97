//! `[people.oidc.NAME]`: a provider of sign-in as the operator describes it.

use std::path::PathBuf;

use openidconnect::url::{Host, Url};
use serde::{Deserialize, Serialize};

use super::claims::ClaimPath;
use super::template::NameTemplate;
use crate::api::Role;

/// The longest name of a table, which stands in addresses, in bytes.
const LONGEST_NAME: usize = 40;

/// `[people.oidc.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcTable {
    /// The provider's address, letter by letter as the provider writes it.
    pub issuer: Issuer,
    /// What the provider calls this hub.
    pub client_id: String,
    /// A file with the secret that the provider gave this hub; a public client has none.
    pub client_secret_file: Option<PathBuf>,
    /// What stands on the button; the table's name otherwise.
    pub label: Option<String>,
    /// What is asked for besides `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The one authority that is believed about the provider's certificate; the system's otherwise.
    pub ca: Option<PathBuf>,
    /// How a person's name is put together.
    #[serde(default)]
    pub name: NameTemplate,
    /// Where the mail address stands.
    #[serde(default = "email")]
    pub email_claim: ClaimPath,
    /// Whether the provider must say that it checked the address.
    #[serde(default = "yes")]
    pub require_verified_email: bool,
    /// The role of those whom no rule matches; without it they are refused.
    pub default_role: Option<Role>,
    /// Whether somebody who has no account here gets one.
    #[serde(default = "yes")]
    pub allow_new: bool,
    /// Which claims mean which roles.
    #[serde(default)]
    pub roles: Vec<RoleRule>,
}

/// `[[people.oidc.NAME.roles]]`: whoever has this value in that claim has this role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// The claim.
    pub claim: ClaimPath,
    /// Its value, or one in its list.
    pub value: String,
    /// The role.
    pub role: Role,
    /// Where: `*` for everything, or `node:NAME`.
    #[serde(default = "everywhere")]
    pub scope: String,
}

fn scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(str::to_owned).to_vec()
}

fn email() -> ClaimPath {
    ClaimPath::known("email")
}

fn yes() -> bool {
    true
}

fn everywhere() -> String {
    "*".to_owned()
}

impl OidcTable {
    /// What cannot be said by the types; the error names the key.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let problem = if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            format!("the name must be 1 to {LONGEST_NAME} of a-z, 0-9 and -: it stands in addresses")
        } else if self.client_id.is_empty() {
            "client_id is empty: it is what the provider calls this hub".to_owned()
        } else if self.scopes.iter().any(|scope| scope.is_empty() || scope.contains(char::is_whitespace)) {
            "scopes must be words: write each by itself".to_owned()
        } else if let Some(rule) = self.roles.iter().find(|rule| !is_scope(&rule.scope)) {
            format!("{:?} is no scope: there is * for everything, and node:NAME", rule.scope)
        } else {
            return Ok(());
        };
        Err(format!("people.oidc.{name}: {problem}"))
    }
}

fn is_scope(words: &str) -> bool {
    words == "*"
        || words
            .split_once(':')
            .is_some_and(|(kind, name)| matches!(kind, "node" | "site") && !name.is_empty())
}

/// A provider's address: HTTPS, or plain HTTP on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

/// An address that cannot be a provider's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be a provider's address: it must be https://…, without a query; http:// only on this machine"
)]
pub struct NotAnIssuer(String);

impl Issuer {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Issuer {
    type Error = NotAnIssuer;

    fn try_from(text: String) -> Result<Self, NotAnIssuer> {
        match text.parse::<Url>() {
            Ok(url) if is_safe(&url) && url.query().is_none() && url.fragment().is_none() => Ok(Self(text)),
            _ => Err(NotAnIssuer(text)),
        }
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0
    }
}

/// Whether what is sent to this address can be read by nobody on the way.
pub(super) fn is_safe(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(more: &str) -> Result<OidcTable, String> {
        let text = format!("issuer = \"https://id.example.org\"\nclient_id = \"nave\"\n{more}");
        let table: OidcTable = toml::from_str(&text).map_err(|error| error.to_string())?;
        table.check("example").map(|()| table)
    }

    #[test]
    fn two_keys_are_enough() {
        let table = table("").unwrap();
        assert_eq!(table.scopes, ["openid", "email", "profile"]);
        assert!(table.require_verified_email && table.allow_new);
        assert_eq!(
            (table.name.to_string(), table.email_claim.to_string()),
            ("{name}".into(), "email".into())
        );
    }

    #[test]
    fn mistakes_are_explained() {
        for (wrong, words) in [
            ("scopes = [\"a b\"]", "people.oidc.example: scopes must be words"),
            ("name = \"given_name\"", "write claims in braces"),
            ("email_claim = \"\"", "names no claim"),
            ("clientid = \"x\"", "unknown field"),
            ("[[roles]]\nclaim = \"groups\"\nvalue = \"a\"\nrole = \"king\"", "unknown variant"),
            (
                "[[roles]]\nclaim = \"groups\"\nvalue = \"a\"\nrole = \"admin\"\nscope = \"all\"",
                "is no scope",
            ),
        ] {
            let error = table(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
        for name in ["", "Example", "a/b", &"a".repeat(41)] {
            assert!(table("").unwrap().check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let issuer = |text: &str| Issuer::try_from(text.to_owned());
        for good in [
            "https://id.example.org",
            "https://id.example.org/realms/lab/",
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert_eq!(issuer(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "id.example.org",
            "http://id.example.org",
            "https://id.example.org?a=b",
            "https://a:b@id.example.org",
            "ftp://127.0.0.1",
            "http://127.0.0.1.example.org",
        ] {
            assert!(issuer(bad).unwrap_err().to_string().contains("https://"), "{bad}");
        }
    }
}
