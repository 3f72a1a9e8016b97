//! Where ID tokens come from that a hub asks for: a command prints them, or signing in has left them in a file.

mod command;
pub(super) mod provider;
mod store;

use std::path::PathBuf;

use nave_core::clock::Clock;
use secrecy::SecretString;

use self::command::TokenCommand;
pub use self::provider::ProviderError;
pub use self::store::{StoredTokens, TokenStore};
use super::connection::{ConnectionError, HubClient};

/// Where signing in leaves tokens, for every program of not-my-board on a machine.
pub const TOKEN_STORE: &str = "/var/lib/not-my-board/auth_tokens.json";

/// Why there is no ID token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody signed in for this hub, or too long ago.
    #[error("Login required: run `nave not-my-board login {hub}`{}", why_of(.why.as_deref()))]
    LoginRequired {
        /// The hub's address.
        hub: String,
        /// Why, where more is known.
        why: Option<String>,
    },
    /// The file cannot be used.
    #[error("Not allowed to access {path}: {source}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no tokens of not-my-board: {problem}. Remove it and sign in anew")]
    NoStore {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The command did not work.
    #[error("{0}")]
    Command(String),
    /// The hub does not say where one signs in.
    #[error(transparent)]
    Hub(#[from] ConnectionError),
    /// The provider of sign-in does not help.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

fn why_of(why: Option<&str>) -> String {
    why.map_or_else(String::new, |why| format!(" ({why})"))
}

/// Where ID tokens come from.
pub enum TokenSource {
    /// A command prints them.
    Command(TokenCommand),
    /// Signing in left them.
    Store(StoredTokens),
}

impl TokenSource {
    /// A command where one is given, otherwise the file.
    pub fn new(hub: HubClient, command: Option<String>, store: TokenStore, clock: Clock) -> Self {
        match command {
            Some(command) => Self::Command(TokenCommand::new(hub, command)),
            None => Self::Store(StoredTokens::new(hub, store, clock)),
        }
    }

    /// An ID token that is good now.
    ///
    /// # Errors
    ///
    /// When there is none; the words say what to do.
    pub async fn id_token(&self) -> Result<SecretString, TokenError> {
        match self {
            Self::Command(command) => command.id_token().await,
            Self::Store(store) => store.id_token().await,
        }
    }
}
