//! A NAISYS hub's database, as it is found: versions have not all the same tables and columns.

mod store;

use std::collections::{BTreeMap, BTreeSet};

use nave_core::clock::from_millis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) use self::store::Source;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Number,
    Real,
    Text,
}

/// A table, and what is read of it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: &'static [(&'static str, Holds)],
}

use Holds::{Number, Real, Text};

pub(super) static USERS: Table = Table {
    name: "users",
    columns: &[
        ("id", Number),
        ("uuid", Text),
        ("username", Text),
        ("title", Text),
        ("api_key", Text),
        ("lead_user_id", Number),
        ("config", Text),
        ("enabled", Number),
        ("archived", Number),
        ("created_at", Text),
    ],
};
pub(super) static NOTIFICATIONS: Table =
    Table { name: "user_notifications", columns: &[("user_id", Number), ("cost_suspended_reason", Text)] };
pub(super) static HOSTS: Table = Table {
    name: "hosts",
    columns: &[
        ("id", Number),
        ("name", Text),
        ("restricted", Number),
        ("host_type", Text),
        ("last_ip", Text),
        ("last_active", Text),
        ("created_at", Text),
    ],
};
pub(super) static ASSIGNED: Table =
    Table { name: "user_hosts", columns: &[("user_id", Number), ("host_id", Number)] };
pub(super) static SESSIONS: Table = Table {
    name: "run_session",
    columns: &[
        ("user_id", Number),
        ("run_id", Number),
        ("session_id", Number),
        ("host_id", Number),
        ("model_name", Text),
        ("last_active", Text),
        ("total_cost", Real),
        ("created_at", Text),
    ],
};
pub(super) static LINES: Table = Table {
    name: "context_log",
    columns: &[
        ("id", Number),
        ("user_id", Number),
        ("run_id", Number),
        ("session_id", Number),
        ("host_id", Number),
        ("role", Text),
        ("source", Text),
        ("type", Text),
        ("message", Text),
        ("attachment_id", Number),
        ("created_at", Text),
    ],
};
pub(super) static COSTS: Table = Table {
    name: "costs",
    columns: &[
        ("id", Number),
        ("user_id", Number),
        ("run_id", Number),
        ("session_id", Number),
        ("host_id", Number),
        ("source", Text),
        ("model", Text),
        ("cost", Real),
        ("input_tokens", Number),
        ("output_tokens", Number),
        ("cache_write_tokens", Number),
        ("cache_read_tokens", Number),
        ("created_at", Text),
    ],
};
pub(super) static MAILS: Table = Table {
    name: "mail_messages",
    columns: &[
        ("id", Number),
        ("from_user_id", Number),
        ("host_id", Number),
        ("kind", Text),
        ("participants", Text),
        ("subject", Text),
        ("body", Text),
        ("created_at", Text),
    ],
};
pub(super) static RECIPIENTS: Table = Table {
    name: "mail_recipients",
    columns: &[
        ("message_id", Number),
        ("user_id", Number),
        ("type", Text),
        ("read_at", Text),
        ("archived_at", Text),
    ],
};
pub(super) static FILES: Table = Table {
    name: "attachments",
    columns: &[
        ("id", Number),
        ("public_id", Text),
        ("filename", Text),
        ("file_size", Number),
        ("file_hash", Text),
        ("purpose", Text),
        ("uploaded_by", Number),
        ("created_at", Text),
    ],
};
pub(super) static MAIL_FILES: Table =
    Table { name: "mail_attachments", columns: &[("message_id", Number), ("attachment_id", Number)] };
pub(super) static VARIABLES: Table =
    Table { name: "variables", columns: &[("key", Text), ("value", Text), ("export_to_shell", Number)] };
pub(super) static MODELS: Table = Table {
    name: "models",
    columns: &[
        ("key", Text),
        ("type", Text),
        ("label", Text),
        ("version_name", Text),
        ("is_custom", Number),
        ("meta", Text),
    ],
};
pub(super) static REVISIONS: Table = Table {
    name: "config_revisions",
    columns: &[
        ("id", Number),
        ("user_id", Number),
        ("config", Text),
        ("changed_by_id", Number),
        ("created_at", Text),
    ],
};

/// All of them.
pub(super) static TABLES: [&Table; 14] = [
    &USERS,
    &NOTIFICATIONS,
    &HOSTS,
    &ASSIGNED,
    &SESSIONS,
    &LINES,
    &COSTS,
    &MAILS,
    &RECIPIENTS,
    &FILES,
    &MAIL_FILES,
    &VARIABLES,
    &MODELS,
    &REVISIONS,
];

/// A value.
#[derive(Clone, Debug)]
enum Cell {
    Number(i64),
    Real(f64),
    Text(String),
}

/// A row, by the names of its columns; what is NULL, or not there in this version, is left out.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Where it stands in its table.
    pub(super) position: i64,
    cells: BTreeMap<&'static str, Cell>,
}

impl Row {
    pub(super) fn number(&self, column: &str) -> Option<i64> {
        match self.cells.get(column)? {
            Cell::Number(number) => Some(*number),
            Cell::Real(_) | Cell::Text(_) => None,
        }
    }

    pub(super) fn truth(&self, column: &str) -> bool {
        self.number(column).is_some_and(|number| number != 0)
    }

    pub(super) fn real(&self, column: &str) -> f64 {
        match self.cells.get(column) {
            Some(Cell::Real(real)) => *real,
            _ => 0.0,
        }
    }

    /// A text as it can be kept.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.cells.get(column)? {
            Cell::Text(text) => Some(crate::hub::kept(text).into_owned()),
            Cell::Number(_) | Cell::Real(_) => None,
        }
    }

    /// A time, as Prisma writes it (RFC 3339), or as milliseconds.
    pub(super) fn time(&self, column: &str) -> Option<OffsetDateTime> {
        let text = self.text(column)?;
        let millis = || text.parse().ok().map(from_millis);
        OffsetDateTime::parse(&text.replace(' ', "T"), &Rfc3339).ok().or_else(millis)
    }
}

/// The columns that a table has in this version.
type Columns = BTreeMap<&'static str, BTreeSet<String>>;
