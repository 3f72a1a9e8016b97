//! What the pages show: plain values, and the templates that lay them out.

mod chart;
mod command;
mod mosaic;
mod pages;
mod strip;
mod usage;

use crate::api::FarmPlace;

pub use self::chart::Chart;
pub use self::mosaic::Mosaic;
pub use self::pages::{Farm, Forms, May, Mine, MoveBooking, PlacePage, Queue, ReserveAny, TerminalPage};
pub use self::strip::Strip;
pub use self::usage::UsagePage;

/// How a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Anybody can have it.
    Free,
    /// Somebody has it.
    Reserved,
    /// Nobody is given it for now.
    OutOfService,
    /// Its exporter is not connected.
    Away,
}

impl State {
    /// How a place stands; of several, what matters most to whoever wants it.
    pub fn of(place: &FarmPlace) -> Self {
        match place {
            FarmPlace { maintenance: Some(_), .. } => Self::OutOfService,
            FarmPlace { here: false, .. } => Self::Away,
            FarmPlace { reservation: Some(_), .. } => Self::Reserved,
            _ => Self::Free,
        }
    }

    /// The class of its dot.
    pub const fn dot(self) -> &'static str {
        match self {
            Self::Free => "good",
            Self::Reserved => "busy",
            Self::OutOfService => "bad",
            Self::Away => "",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Free => "Free",
            Self::Reserved => "Reserved",
            Self::OutOfService => "Out of service",
            Self::Away => "Away",
        }
    }
}

/// How many places there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub places: usize,
    /// Those that anybody can have.
    pub free: usize,
    /// Those that somebody has.
    pub reserved: usize,
    /// Those out of service.
    pub closed: usize,
    /// Those whose exporters are not connected.
    pub away: usize,
    /// How many wait.
    pub waiting: usize,
}

impl Counts {
    /// Counts a farm.
    pub fn of(farm: &[FarmPlace], waiting: usize) -> Self {
        let count = |is: fn(&FarmPlace) -> bool| farm.iter().filter(|place| is(place)).count();
        Self {
            places: farm.len(),
            free: count(|place| State::of(place) == State::Free),
            reserved: count(|place| place.reservation.is_some()),
            closed: count(|place| place.maintenance.is_some()),
            away: count(|place| !place.here),
            waiting,
        }
    }
}

/// One of the fleet's pages.
#[derive(Clone, Debug)]
pub struct Tab {
    /// Its words.
    pub label: &'static str,
    /// How many things it lists.
    pub count: usize,
    /// Its address.
    pub path: &'static str,
    /// Whether it is shown.
    pub here: bool,
}

/// A part of the list that can be chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its words.
    pub label: String,
    /// How many places belong to it.
    pub count: usize,
    /// Its address.
    pub path: String,
    /// Whether it is shown.
    pub here: bool,
}

/// Whether whoever looks has it.
pub fn is_mine(place: &FarmPlace) -> bool {
    place.reservation.as_ref().is_some_and(|reservation| reservation.mine)
}

/// What its parts are, each word once.
pub fn tags(place: &FarmPlace) -> Vec<&str> {
    let mut tags: Vec<&str> = Vec::new();
    for word in place.parts.iter().flat_map(|part| &part.compatible) {
        if !tags.contains(&word.as_str()) {
            tags.push(word);
        }
    }
    tags
}

/// The address of a place's page. Browsers take some names for a way up: those lead to the list.
pub fn path_of(name: &str) -> String {
    if ["", ".", ".."].contains(&name) {
        return "/boards".to_owned();
    }
    format!("/boards/places/{}", segment(name))
}

/// The address of the terminal on an interface of one of a place's parts, counted from 1.
pub fn terminal_path(place: &str, part: &usize, interface: &str) -> String {
    format!("{}/terminal/{part}/{}", path_of(place), segment(interface))
}

/// A text as one part of a path.
pub(super) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The list narrowed to a tag.
pub fn tagged(tag: &str) -> String {
    format!("/boards?{}", form_urlencoded::Serializer::new(String::new()).append_pair("tag", tag).finish())
}

/// What a person types to wait for a place.
pub fn wait_for(place: &str) -> String {
    format!("nave board reserve --place {} --timeout 1h", quoted(place))
}

/// What a person types to use a place.
pub fn attach(place: &str) -> String {
    format!("nave board attach --place {}", quoted(place))
}

/// A name as a shell takes it for one word.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@');
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_has_an_address_and_is_one_word() {
        assert_eq!(path_of("bench 1/2+3"), "/boards/places/bench%201%2F2%2B3");
        assert_eq!(path_of(".."), "/boards");
        assert_eq!(tagged("a&b"), "/boards?tag=a%26b");
        assert_eq!(wait_for("bench-1"), "nave board reserve --place bench-1 --timeout 1h");
        assert_eq!(attach("it's; rm"), r"nave board attach --place 'it'\''s; rm'");
    }
}
