//! Each page with its template.

use askama::Template;
use nave_core::api::{Stream, StreamPath};
use nave_web::shell::Shell;
use nave_web::ui::{self, Filled};
use nave_web::views::listing::{Heading, Listing, Pager};
use nave_web::words;

use super::super::told;
use super::command;
use super::{
    Choice, Counts, Mosaic, State, Strip, Tab, attach, is_mine, path_of, tagged, tags, terminal_path,
    wait_for,
};
use crate::api::{
    Booking, BookingState, CommandRun, FarmPlace, PastReservation, PowerCommand, Reservation, Waiter,
};

/// How many places of a wish are named in the queue.
const NAMED: usize = 3;

/// The farm.
#[derive(Debug, Template)]
#[template(path = "boards/farm.html")]
pub struct Farm {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// What was asked of the list.
    pub listing: Listing,
    /// How many places stand how.
    pub counts: Counts,
    /// All of them as a picture, if there are many.
    pub mosaic: Option<Mosaic>,
    /// The list's parts.
    pub choices: Vec<Choice>,
    /// The most common tags.
    pub tags: Vec<Choice>,
    /// The rows.
    pub places: Vec<FarmPlace>,
    /// Which rows these are.
    pub pager: Pager,
    /// Whether places may be reserved.
    pub may_reserve: bool,
}

impl Farm {
    fn headings(&self) -> [Heading; 4] {
        [
            self.listing.heading("name", "Place", ""),
            self.listing.heading("holder", "Who has it", ""),
            self.listing.heading("until", "Until", "p2"),
            self.listing.heading("waiting", "Waiting", "p3 num"),
        ]
    }

    /// Where one like those that are shown is reserved.
    fn reserve_any(&self) -> String {
        let tag = self.listing.get("tag");
        if tag.is_empty() {
            return "/boards/reserve".to_owned();
        }
        tagged(tag).replacen("/boards", "/boards/reserve", 1)
    }
}

/// The forms of a place's page, as they are filled in.
#[derive(Clone, Debug)]
pub struct Forms {
    /// Reserving it.
    pub reserve: Filled,
    /// Booking it.
    pub book: Filled,
    /// Keeping it for longer.
    pub extend: Filled,
    /// Giving it to somebody else.
    pub hand_over: Filled,
    /// Returning it.
    pub give_back: Filled,
    /// Taking it out of service, and putting it into service again.
    pub close: Filled,
    /// Switching its power.
    pub power: Filled,
}

impl Default for Forms {
    fn default() -> Self {
        Self {
            reserve: Filled::with([("time", "10h")]),
            book: Filled::with([("time", "2h")]),
            extend: Filled::with([("more", "2h")]),
            hand_over: Filled::blank(),
            give_back: Filled::blank(),
            close: Filled::blank(),
            power: Filled::blank(),
        }
    }
}

/// What may be done to a place by whoever looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct May {
    /// Reserving it.
    pub reserve: bool,
    /// Returning, extending and handing over the reservation that stands.
    pub change: bool,
    /// Taking it out of service, and cancelling the bookings of others.
    pub close: bool,
}

/// One place.
#[derive(Debug, Template)]
#[template(path = "boards/place.html")]
pub struct PlacePage {
    /// What stands around the page.
    pub shell: Shell,
    /// The place.
    pub place: FarmPlace,
    /// Who had it, the last first.
    pub past: Vec<PastReservation>,
    /// Who will have it, the next first.
    pub bookings: Vec<Booking>,
    /// Who waits for it, with the position in the whole queue.
    pub waiters: Vec<Waiter>,
    /// Streams to it.
    pub streams: Vec<Stream>,
    /// Which commands its exporter ran for it, the last first.
    pub commands: Vec<CommandRun>,
    /// What may be done.
    pub may: May,
    /// What may be done with its power.
    pub power: Vec<PowerCommand>,
    /// The forms.
    pub forms: Forms,
}

impl PlacePage {
    fn state(&self) -> State {
        State::of(&self.place)
    }

    fn path(&self) -> String {
        path_of(&self.place.name)
    }

    /// What may be done with its power: as a form says it, and as its button does.
    fn buttons(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.power.iter().map(|power| (power.word(), command::button(*power)))
    }

    fn is_mine(&self) -> bool {
        is_mine(&self.place)
    }

    /// The last days as a picture.
    fn strip(&self) -> Option<Strip> {
        Strip::of(self.shell.now, self.place.reservation.as_ref(), &self.past)
    }

    /// For how long somebody had it.
    fn span(past: &PastReservation) -> String {
        words::span((past.until - past.since).whole_seconds().unsigned_abs().max(1))
    }
}

/// What whoever looks has.
#[derive(Debug, Template)]
#[template(path = "boards/mine.html")]
pub struct Mine {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// The places.
    pub places: Vec<(FarmPlace, Reservation)>,
    /// What is booked, the next first.
    pub bookings: Vec<Booking>,
    /// Whether places may be reserved.
    pub may_reserve: bool,
}

/// Who waits.
#[derive(Debug, Template)]
#[template(path = "boards/queue.html")]
pub struct Queue {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// What was asked of the list.
    pub listing: Listing,
    /// Who waits, the first first.
    pub waiters: Vec<Waiter>,
    /// What is booked, the next first.
    pub bookings: Vec<Booking>,
    /// What may be done with the bookings.
    pub may: May,
    /// Which rows these are.
    pub pager: Pager,
}

impl Queue {
    /// Those of the places that are named, and how many more there are.
    fn places(waiter: &Waiter) -> (&[String], usize) {
        let named = &waiter.places[..waiter.places.len().min(NAMED)];
        (named, waiter.places.len() - named.len())
    }
}

impl Booking {
    /// For how long.
    fn time(&self) -> String {
        words::span((self.until - self.starts_at).whole_seconds().unsigned_abs().max(1))
    }

    /// Whether its time has come, and its place has not.
    pub fn waits(&self) -> bool {
        self.state == BookingState::Waiting
    }
}

/// Moving a booking to other times.
#[derive(Debug, Template)]
#[template(path = "boards/move_booking.html")]
pub struct MoveBooking {
    /// What stands around the page.
    pub shell: Shell,
    /// What is moved.
    pub booking: Booking,
    /// When it begins, as the field holds it: in UTC.
    pub at: String,
    /// The form.
    pub form: Filled,
}

/// Reserving any place that has what is wanted.
#[derive(Debug, Template)]
#[template(path = "boards/reserve.html")]
pub struct ReserveAny {
    /// What stands around the page.
    pub shell: Shell,
    /// The form.
    pub form: Filled,
}

/// A TCP interface in the browser.
#[derive(Debug, Template)]
#[template(path = "boards/terminal.html")]
pub struct TerminalPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The place.
    pub place: String,
    /// Which of its parts, from 1.
    pub part: usize,
    /// The interface's name.
    pub interface: String,
    /// The node that offers it.
    pub node: String,
}

impl TerminalPage {
    fn socket(&self) -> String {
        format!("{}/bytes", terminal_path(&self.place, &self.part, &self.interface))
    }
}
