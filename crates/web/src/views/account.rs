//! One's own account: name, password, second factor, sessions, devices, API tokens.

use askama::Template;
use nave_core::api::{ApiToken, ApiTokenSecret, Device, Person, ProgramSignIn, Role, Session};

use super::people::{self, roles_words};
use crate::shell::Shell;
use crate::ui::{self, Filled};
use crate::words;

/// For how long a token can be good.
pub const TOKEN_TIMES: [(&str, &str); 4] =
    [("604800", "one week"), ("2592000", "30 days"), ("7776000", "90 days"), ("31536000", "one year")];

/// One's own account.
#[derive(Debug, Template)]
#[template(path = "account/account.html")]
pub struct Account {
    /// What stands around the page.
    pub shell: Shell,
    /// Oneself.
    pub person: Person,
    /// The form for the name.
    pub profile: Filled,
    /// The form for the password.
    pub password: Filled,
    /// How many recovery codes are left.
    pub codes_left: i64,
    /// Where one is signed in.
    pub sessions: Vec<Session>,
    /// One's devices.
    pub devices: Vec<Device>,
    /// The programs into which one signed in.
    pub programs: Vec<ProgramSignIn>,
    /// One's tokens.
    pub tokens: Vec<ApiToken>,
    /// The form for a new token.
    pub token: Filled,
    /// The nodes to which a token can be bound.
    pub nodes: Vec<String>,
    /// The hub's address, as commands write it.
    pub url: String,
}

impl Account {
    fn roles(&self) -> String {
        roles_words(&self.person)
    }

    /// The roles that a token can have, each with what it may.
    fn token_roles() -> Vec<(&'static str, String)> {
        let label = |(role, words): (Role, &str)| (role.word(), format!("{}: {words}", role.word()));
        people::ROLES.into_iter().rev().map(label).collect()
    }

    /// Where a token can be good.
    fn scopes(&self) -> Vec<(String, String)> {
        scopes(&self.nodes)
    }
}

/// Where a role or a token can hold: everywhere, or on one node.
pub fn scopes(nodes: &[String]) -> Vec<(String, String)> {
    let everywhere = ("*".to_owned(), "everywhere".to_owned());
    let on = nodes.iter().map(|node| (format!("node:{node}"), format!("on {node}")));
    std::iter::once(everywhere).chain(on).collect()
}

/// A new token, shown once.
#[derive(Template)]
#[template(path = "account/token.html")]
pub struct NewToken {
    /// What stands around the page.
    pub shell: Shell,
    /// What was made.
    pub made: ApiTokenSecret,
    /// The hub's address, as commands write it.
    pub url: String,
}

/// New recovery codes, shown once.
#[derive(Template)]
#[template(path = "account/codes.html")]
pub struct NewCodes {
    /// What stands around the page.
    pub shell: Shell,
    /// The codes.
    pub codes: Vec<String>,
}

/// What a browser is, from what it calls itself: enough to tell one's own sessions apart.
pub fn browser(agent: &str) -> String {
    let first = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // The order matters: most browsers name others, too.
    let program = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrom", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_told_apart() {
        let cases = [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/128.0 Safari/537.36 Edg/128.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.9", "curl"),
            ("", "Unknown browser"),
        ];
        for (agent, name) in cases {
            assert_eq!(browser(agent), name);
        }
    }
}
