//! The farm as the native API tells of it: places, who has them, who waits.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{CommandRun, Occasion, Part, WantedPart};

/// A place of the farm.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct FarmPlace {
    /// Its name.
    pub name: String,
    /// What it consists of; empty while it is away.
    pub parts: Vec<Part>,
    /// Whether its exporter is connected. A place that somebody has stays in the list while it is away.
    pub here: bool,
    /// The node that offers it; none for an exporter of not-my-board.
    pub node: Option<String>,
    /// Where agents of not-my-board reach it, as `HOST:PORT`; none where only nodes of this hub do.
    pub address: Option<String>,
    /// How unique it is, from 0 to 1: the higher, the longer it is kept free for those who can use nothing else.
    pub uniqueness: f64,
    /// Why nobody is given it, if it is out of service.
    pub maintenance: Option<Maintenance>,
    /// Who has it.
    pub reservation: Option<Reservation>,
    /// The booking of it that begins next.
    #[serde(default)]
    pub booking: Option<Booking>,
    /// How many wait for it, or for others as well.
    pub waiting: usize,
    /// What its exporter does to it at the moment: whoever gets it waits for that.
    pub running: Option<RunningCommand>,
    /// How its power can be switched; empty where it has no power control.
    pub power: Vec<PowerCommand>,
}

/// A command that an exporter runs at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct RunningCommand {
    /// Why it runs.
    pub occasion: Occasion,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// What can be done with the power of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PowerCommand {
    /// Switch it on.
    On,
    /// Switch it off.
    Off,
    /// Switch it off and on again.
    Cycle,
    /// Ask how it stands.
    Status,
}

impl PowerCommand {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::On, Self::Off, Self::Cycle, Self::Status];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Cycle => "cycle",
            Self::Status => "status",
        }
    }

    /// Why the exporter runs a command for it.
    pub const fn occasion(self) -> Occasion {
        match self {
            Self::On => Occasion::PowerOn,
            Self::Off => Occasion::PowerOff,
            Self::Cycle => Occasion::PowerCycle,
            Self::Status => Occasion::PowerStatus,
        }
    }
}

/// Switches the power of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PowerRequest {
    /// What to do.
    pub command: PowerCommand,
}

/// One place and its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct PlaceDetail {
    /// The place.
    pub place: FarmPlace,
    /// Who had it, the last one first; 100 at the most.
    pub past: Vec<PastReservation>,
    /// Who will have it, the next one first.
    #[serde(default)]
    pub bookings: Vec<Booking>,
    /// Which commands its exporter ran for it, the last one first; 10 at the most.
    pub commands: Vec<CommandRun>,
}

/// Why a place is out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Maintenance {
    /// The reason.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// Who has a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Reservation {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// The place.
    pub place: String,
    /// What its holder calls it; may be empty.
    pub name: String,
    /// Who has it.
    pub holder: String,
    /// Whether that is whoever asks.
    pub mine: bool,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Until when at the most.
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
    /// Who has booked the place from then on, if it ends for that.
    #[serde(default)]
    pub booked_by: Option<String>,
    /// Whether its holder's connection is gone. It then ends after the farm's grace, unless the holder comes back.
    pub left_behind: bool,
}

/// A reservation that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct PastReservation {
    /// Who had the place.
    pub holder: String,
    /// From when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// Why it ended: `returned`, `revoked`, `expired`, `booked`, `holder_gone`, `resource_gone`, `not_taken`,
    /// `not_ready`.
    pub reason: String,
}

/// A reservation that begins later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Booking {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// The place.
    pub place: String,
    /// What its holder calls it; may be empty.
    pub name: String,
    /// Who has booked it.
    pub holder: String,
    /// Whether that is whoever asks.
    pub mine: bool,
    /// From when.
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// How it stands.
    pub state: BookingState,
}

/// How a booking stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BookingState {
    /// Its time has not come.
    Booked,
    /// Its time has come, and the place is away, out of service or just given back. It is the first that is given it.
    Waiting,
}

/// A place that is to be booked: one of several, or one that has the right parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BookRequest {
    /// Any one of these; without them, any place.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<super::Text>))]
    pub places: Vec<String>,
    /// It must have these parts, each by a part of its own.
    #[serde(default)]
    pub parts: Vec<WantedPart>,
    /// What the booking will be called, and the reservation that it becomes.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    pub name: String,
    /// From when, within a year.
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// For how long, in seconds.
    #[serde(default = "ten_hours")]
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 31_536_000))]
    pub seconds: u64,
}

/// Somebody who waits for a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Waiter {
    /// How many are before it in the queue, and it: the first is 1.
    pub position: usize,
    /// Who waits.
    pub holder: String,
    /// Whether that is whoever asks.
    pub mine: bool,
    /// With which priority: higher ones are before lower ones.
    #[serde(default)]
    pub priority: i32,
    /// The places of which any one would do.
    pub places: Vec<String>,
    /// For somebody who waits for several at once: for each, the places of which one would do.
    #[serde(default)]
    pub together: Vec<Vec<String>>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// When one of them is free at the latest, if every holder in between uses its time up and nobody else comes.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expected: Option<OffsetDateTime>,
}

/// Where in the queue whoever asks is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct QueueTurn {
    /// How many wait.
    pub waiting: usize,
    /// One's own turn; of several, the one for which the wait began last.
    pub own: Option<Turn>,
}

/// A turn in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Turn {
    /// How many are before it in the queue, and it: the first is 1.
    pub position: usize,
    /// What is waited for at once: of each, one place.
    pub wants: Vec<WaitedFor>,
    /// When it comes at the latest, if every holder in between uses its time up and nobody else comes; not where too many
    /// who are before it would have to be looked at.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expected: Option<OffsetDateTime>,
}

/// Places of which any one would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct WaitedFor {
    /// The names of some of them, or of all if they are few.
    pub places: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// What is to be reserved: one of several places, or one that has the right parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReserveRequest {
    /// Any one of these; without them, any place.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<super::Text>))]
    pub places: Vec<String>,
    /// It must have these parts, each by a part of its own.
    #[serde(default)]
    pub parts: Vec<WantedPart>,
    /// What the reservation will be called, by which its holder can name it from then on.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    pub name: String,
    /// For how long at the most, in seconds.
    #[serde(default = "ten_hours")]
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 31_536_000))]
    pub seconds: u64,
    /// How long to wait for one that others have, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(maximum = 86_400))]
    pub wait: u64,
}

/// One of several places that are to be reserved at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WantedPlace {
    /// Any one of these; without them, any place.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<super::Text>))]
    pub places: Vec<String>,
    /// It must have these parts, each by a part of its own.
    #[serde(default)]
    pub parts: Vec<WantedPart>,
    /// What the reservation of it will be called.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    pub name: String,
}

/// Several places that are to be reserved at once, or none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReserveSetRequest {
    /// The places, each of which is another one.
    #[cfg_attr(feature = "hub", schema(min_items = 1, max_items = 32))]
    pub wants: Vec<WantedPlace>,
    /// For how long at the most, in seconds.
    #[serde(default = "ten_hours")]
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 31_536_000))]
    pub seconds: u64,
    /// How long to wait until all of them are free, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(maximum = 86_400))]
    pub wait: u64,
}

/// What not-my-board's agents have as their default.
fn ten_hours() -> u64 {
    36_000
}

/// Changes until when a place is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReservationChange {
    /// For how many seconds from now.
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 31_536_000))]
    pub seconds: u64,
}

/// Moves a booking: what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BookingChange {
    /// From when, within a year.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<OffsetDateTime>,
    /// For how long, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 31_536_000))]
    pub seconds: Option<u64>,
}

/// Hands a reservation over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// A person's address, or a node's name.
    #[cfg_attr(feature = "hub", schema(pattern = "^[^\\x00]+$"))]
    pub to: String,
}

/// Takes a place out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetMaintenance {
    /// Why, for those who want it.
    #[cfg_attr(
        feature = "hub",
        schema(
            max_length = 500,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
        )
    )]
    pub reason: String,
}
