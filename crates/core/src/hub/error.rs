//! Why an operation failed, for two readers: [`Error::message`] is for whoever asked, the source chain is for the log.

use std::time::Duration;

/// The result of a service function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked makes no sense.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field at fault, as the caller wrote it.
        field: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Nobody the hub knows asked for something that is not open to everyone.
    #[error("{0}")]
    Unauthenticated(String),
    /// Known, but not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("there is no {kind} named {name:?}")]
    NotFound {
        /// The noun.
        kind: &'static str,
        /// What the caller called it.
        name: String,
    },
    /// It cannot be done in the state things are in.
    #[error("{0}")]
    Conflict(String),
    /// Too many attempts; worth trying again after a while.
    #[error("too many attempts; try again in {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// Something the hub needs is away; worth trying again.
    #[error("{what} is not available at the moment; try again")]
    Unavailable {
        /// What is away, for the caller.
        what: &'static str,
        /// The reason, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A defect or a broken machine; the details are for the log only.
    #[error("the hub failed; its log has the details")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Input that makes no sense.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }

    /// A noun that is not there.
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { kind, name: name.into() }
    }

    /// A defect or a broken machine.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// A short, stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Throttled(_) => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// What the caller is told. Never holds a source's text.
    pub fn message(&self) -> String {
        self.to_string()
    }
}
