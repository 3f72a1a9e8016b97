//! The fleet's pages with sample values, in every state that people meet: no place, three, a thousand with names that are
//! long or mean harm. Pictures go to `target/screenshots/boards`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nave_boards::api::{
    Booking, BookingState, CommandRun, FarmPlace, Maintenance, Occasion, Outcome, Part, PastReservation,
    PowerCommand, Reservation, RunningCommand, TcpInterface, UsbInterface, Waiter,
};
use nave_boards::hub::pages::views::{
    Chart, Choice, Counts, Farm, Forms, May, Mine, Mosaic, MoveBooking, PlacePage, Queue, ReserveAny, Tab,
    UsagePage,
};
use nave_boards::hub::usage::{Of, Share, Waits, Week};
use nave_core::api::{Stream, StreamPath};
use nave_core::hub::error::Error;
use nave_testkit::gallery::{HOSTILE, NOW, Sample, look};
use nave_web::form::Fields;
use nave_web::shell::{MenuItem, Shell};
use nave_web::ui::Filled;
use nave_web::views::listing::{Listing, Pager};
use time::Duration;

const LONG: &str =
    "rack-17-unit-42-usb-hub-b-port-3-board-revision-d2-spare-unit-for-the-team-that-works-at-night-only";

fn shell(title: &str) -> Shell {
    let mut shell = nave_testkit::gallery::shell(title, "/boards");
    shell.menu.insert(1, MenuItem::new(0, "Boards", "/boards", "boards"));
    shell
}

fn part(compatible: &[&str], usb: &[(&str, &str)], tcp: &[(&str, u64)]) -> Part {
    Part {
        compatible: compatible.iter().map(ToString::to_string).collect(),
        usb: usb
            .iter()
            .map(|(name, id)| ((*name).to_owned(), UsbInterface { usbid: (*id).to_owned() }))
            .collect(),
        tcp: tcp
            .iter()
            .map(|(name, port)| {
                (
                    (*name).to_owned(),
                    TcpInterface { host: "localhost".to_owned(), port: *port, web_terminal: *port == 8001 },
                )
            })
            .collect::<BTreeMap<_, _>>(),
    }
}

fn place(name: &str) -> FarmPlace {
    FarmPlace {
        name: name.to_owned(),
        parts: vec![
            part(&["raspberry-pi-4", "raspberry-pi"], &[("usb0", "1-4.2")], &[("serial", 8001)]),
            part(&["sd-mux"], &[("mux", "1-4.3")], &[]),
        ],
        here: true,
        node: Some("lab".to_owned()),
        address: None,
        uniqueness: 0.2,
        maintenance: None,
        reservation: None,
        booking: None,
        waiting: 0,
        running: None,
        power: Vec::new(),
    }
}

fn held(place: FarmPlace, holder: &str, mine: bool) -> FarmPlace {
    let reservation = Reservation {
        id: "0198f0e3-5555-7000-8000-000000000001".to_owned(),
        place: place.name.clone(),
        name: if mine { "kernel tests".to_owned() } else { String::new() },
        holder: holder.to_owned(),
        mine,
        since: NOW - Duration::minutes(95),
        until: Some(NOW + Duration::hours(7)),
        booked_by: if mine { Some("Katherine Johnson".to_owned()) } else { None },
        left_behind: false,
    };
    FarmPlace { reservation: Some(reservation), ..place }
}

fn closed(place: FarmPlace, reason: &str) -> FarmPlace {
    let maintenance =
        Maintenance { reason: reason.to_owned(), by: "Ada".to_owned(), since: NOW - Duration::days(2) };
    FarmPlace { maintenance: Some(maintenance), ..place }
}

fn three() -> Vec<FarmPlace> {
    let stm = part(&["stm32f7-discovery"], &[("stlink", "1-1")], &[]);
    vec![
        FarmPlace { waiting: 2, ..held(place("bench-1"), "Grace", false) },
        place("bench-2"),
        FarmPlace {
            parts: vec![stm],
            ..closed(place("stm-1"), "the reset line is broken; Ada looks at it on Monday")
        },
    ]
}

/// A farm as it is on an ordinary day.
fn ordinary() -> Vec<FarmPlace> {
    let stm = |name: &str| FarmPlace {
        parts: vec![part(&["stm32f7-discovery", "stm32"], &[("stlink", "1-1")], &[])],
        ..place(name)
    };
    vec![
        FarmPlace { waiting: 2, ..held(place("rpi-1"), "Grace Hopper", false) },
        held(place("rpi-2"), "Ada", true),
        FarmPlace { booking: bookings(2).pop(), ..place("rpi-3") },
        FarmPlace { booking: bookings(1).pop(), ..place("rpi-4") },
        held(place("rpi-5"), "ci-runner", false),
        stm("stm-1"),
        FarmPlace { here: false, parts: vec![], ..held(stm("stm-2"), "Katherine Johnson", false) },
        closed(stm("stm-3"), "the reset line is broken; Ada looks at it on Monday"),
        stm("stm-4"),
        stm("stm-5"),
    ]
}

/// A thousand, with everything that can be too long being too long.
fn many() -> Vec<FarmPlace> {
    (0..1000)
        .map(|at| {
            let name = match at % 9 {
                0 => format!("{LONG}-{at}"),
                1 => format!("{HOSTILE}-{at}"),
                _ => format!("bench-{at:04}"),
            };
            let plain = FarmPlace { waiting: usize::from(at % 11 == 0) * at, ..place(&name) };
            let odd = FarmPlace {
                parts: vec![part(&[LONG, HOSTILE, "nrf52840", "board"], &[], &[])],
                ..plain.clone()
            };
            match at % 10 {
                0 | 1 | 4 => held(plain, "Grace Hopper", false),
                2 => held(odd, LONG, false),
                3 => held(odd, HOSTILE, true),
                5 if at % 3 == 0 => closed(plain, HOSTILE),
                6 if at % 7 == 0 => FarmPlace { here: false, parts: vec![], ..held(plain, "Bob", false) },
                7 => odd,
                _ => plain,
            }
        })
        .collect()
}

fn tabs(places: usize, mine: usize, queue: usize, here: &str) -> Vec<Tab> {
    let tab = |label, count, path: &'static str| Tab { label, count, path, here: path == here };
    vec![
        tab("Places", places, "/boards"),
        tab("My reservations", mine, "/boards/reservations"),
        tab("Queue", queue, "/boards/queue"),
        tab("Usage", 0, "/boards/usage"),
    ]
}

fn farm(all: &[FarmPlace], shown: Option<Vec<FarmPlace>>, asked: &[(&'static str, &str)]) -> Farm {
    let listing = Listing::new("/boards", asked);
    let choice = |label: &str, count, here| Choice {
        label: label.to_owned(),
        count,
        path: "/boards".to_owned(),
        here,
    };
    let counts = Counts::of(all, if all.len() > 10 { 40 } else { 2 });
    let (places, pager) = Pager::cut(&listing, shown.unwrap_or_else(|| all.to_vec()));
    let tag = listing.get("tag").to_owned();
    Farm {
        shell: shell("Boards"),
        tabs: tabs(all.len(), 0, counts.waiting, "/boards"),
        counts,
        mosaic: Mosaic::of(all),
        choices: vec![
            choice("All", counts.places, true),
            choice("Free", counts.free, false),
            choice("Reserved", counts.reserved, false),
            choice("Waited for", 2, false),
            choice("Out of service", counts.closed, false),
        ],
        tags: ["raspberry-pi", "sd-mux", LONG, HOSTILE].map(|name| choice(name, 7, name == tag)).to_vec(),
        places,
        pager,
        may_reserve: true,
        listing,
    }
}

fn detail(place: FarmPlace, may: May, forms: Forms) -> PlacePage {
    let past = |at: i64, holder: &str, reason: &str| PastReservation {
        holder: holder.to_owned(),
        since: NOW - Duration::hours(20 * at + 5),
        until: NOW - Duration::hours(20 * at),
        reason: reason.to_owned(),
    };
    let ends = ["returned", "revoked", "expired", "holder_gone", "resource_gone", "not_taken"];
    let stream = |at: u64, path| Stream {
        id: format!("0198f0e3-3333-7000-8000-{at:012x}"),
        from: "laptop".to_owned(),
        to: "lab".to_owned(),
        target: "localhost:8001".to_owned(),
        path,
        sent: 1_234 * at,
        received: 98_765_432,
        since: NOW - Duration::minutes(3),
    };
    let reserved = place.reservation.is_some();
    PlacePage {
        shell: shell(&place.name),
        bookings: if reserved { bookings(3) } else { place.booking.clone().into_iter().collect() },
        waiters: if place.waiting > 0 { waiters(place.waiting.min(14)) } else { vec![] },
        streams: if reserved {
            vec![stream(1, StreamPath::Direct), stream(2, StreamPath::Relayed), stream(3, StreamPath::Hub)]
        } else {
            vec![]
        },
        past: ends
            .iter()
            .zip(1..)
            .map(|(reason, at)| past(at, if at == 3 { HOSTILE } else { "Grace" }, reason))
            .collect(),
        commands: if place.power.is_empty() { vec![] } else { ran() },
        power: place.power.clone(),
        place,
        may,
        forms,
    }
}

/// Commands of every kind and with every end.
fn ran() -> Vec<CommandRun> {
    let ran = |occasion, outcome, status, holder: &str, output: &str| CommandRun {
        occasion,
        reservation: None,
        holder: holder.to_owned(),
        began: NOW - Duration::minutes(4),
        ended: NOW - Duration::minutes(3),
        outcome,
        status,
        output: output.to_owned(),
    };
    let long = format!("{}\n{}", LONG.repeat(20), "a line of many\n".repeat(200));
    let all = [
        ran(Occasion::PowerCycle, Outcome::Done, Some(0), "Ada", "relay 3: off\nrelay 3: on\n"),
        ran(Occasion::Before, Outcome::Failed, Some(3), HOSTILE, "flashing known.img\nno board answers\n"),
        ran(Occasion::After, Outcome::TimedOut, None, LONG, &long),
        ran(Occasion::PowerOff, Outcome::Done, Some(0), "Grace", ""),
        ran(Occasion::Before, Outcome::Done, Some(0), "Grace", "flashing known.img\nverified\n"),
    ];
    let earlier = |(at, run): (i64, CommandRun)| CommandRun {
        began: run.began - Duration::hours(at),
        ended: run.ended - Duration::hours(at),
        ..run
    };
    (0..).zip(all).map(earlier).collect()
}

fn powered(place: FarmPlace) -> FarmPlace {
    FarmPlace { power: PowerCommand::ALL.to_vec(), ..place }
}

fn waiters(count: usize) -> Vec<Waiter> {
    (0..count)
        .map(|at| Waiter {
            position: at + 1,
            holder: ["Grace Hopper", "laptop", HOSTILE, LONG][at % 4].to_owned(),
            mine: at == 1,
            priority: if at < 2 { 10 } else { 0 },
            together: if at % 5 == 2 {
                vec![vec!["bench-2".to_owned()], vec![LONG.to_owned(), HOSTILE.to_owned()]]
            } else {
                vec![]
            },
            places: match at % 3 {
                0 => vec!["bench-1".to_owned()],
                1 => (0..900).map(|at| format!("bench-{at}")).collect(),
                _ => vec![LONG.to_owned(), HOSTILE.to_owned(), "bench-2".to_owned()],
            },
            since: NOW - Duration::minutes(i64::try_from(at).unwrap()),
            expected: (at % 2 == 0).then(|| NOW + Duration::hours(i64::try_from(at).unwrap() + 1)),
        })
        .collect()
}

fn bookings(count: usize) -> Vec<Booking> {
    (0..count)
        .map(|at| Booking {
            id: format!("0198f0e3-7777-7000-8000-{at:012x}"),
            place: ["bench-1", LONG, HOSTILE][at % 3].to_owned(),
            name: if at % 2 == 0 { "kernel tests".to_owned() } else { String::new() },
            holder: ["Katherine Johnson", "Ada", LONG, HOSTILE][at % 4].to_owned(),
            mine: at % 4 == 1,
            starts_at: NOW + Duration::hours(8 * i64::try_from(at).unwrap()),
            until: NOW + Duration::hours(8 * i64::try_from(at).unwrap() + 2),
            state: if at == 0 { BookingState::Waiting } else { BookingState::Booked },
        })
        .collect()
}

fn moving(at: usize, form: Filled) -> MoveBooking {
    let booking = bookings(at + 1).remove(at);
    let shell = shell(&format!("Booking of {}", booking.place));
    MoveBooking { shell, booking, at: "2026-12-01T14:00".to_owned(), form }
}

fn queue(count: usize) -> Queue {
    let listing = Listing::new("/boards/queue", &[]);
    let (waiters, pager) = Pager::cut(&listing, waiters(count));
    let may = May { reserve: true, change: false, close: count > 100 };
    let bookings = bookings(count.min(5));
    Queue {
        shell: shell("Queue"),
        tabs: tabs(3, 0, count, "/boards/queue"),
        listing,
        waiters,
        bookings,
        may,
        pager,
    }
}

fn mine(places: Vec<FarmPlace>) -> Mine {
    let places: Vec<_> =
        places.into_iter().filter_map(|place| Some((place.clone(), place.reservation.clone()?))).collect();
    Mine {
        shell: shell("My reservations"),
        tabs: tabs(1000, places.len(), 2, "/boards/reservations"),
        bookings: if places.is_empty() { vec![] } else { bookings(3) },
        places,
        may_reserve: true,
    }
}

/// Weeks of which every seventh was quiet.
fn usage(weeks: u32, places: usize, of: Of) -> UsagePage {
    let number = |at: u32| f64::from((at * 37 + 11) % 100) / 100.0;
    let waits = |at: u32| Waits {
        known: u64::from(at % 7) * 9,
        half: std::time::Duration::from_secs(u64::from(at * 131 % 700)),
        most: std::time::Duration::from_secs(u64::from(700 + at * 977 % 9000)),
    };
    let share = |name: &str, at: u32| Share {
        name: name.to_owned(),
        places: if at == 0 { places } else { 1 },
        taken: number(at),
        held: std::time::Duration::from_secs(u64::from(at) * 5000),
        granted: u64::from(at) * 13,
        waits: waits(at),
    };
    let weeks: Vec<Week> = (0..weeks)
        .map(|at| Week {
            begins: NOW - Duration::weeks(i64::from(weeks - at)),
            taken: if at % 7 == 6 { 0.0 } else { number(at) },
            held: std::time::Duration::from_hours(u64::from(at) * 50),
            granted: u64::from(at % 7) * 1111,
            waits: waits(at + 6),
        })
        .collect();
    let listing = Listing::new("/boards/usage", &[("tag", of.tag.as_deref().unwrap_or_default())]);
    let shares: Vec<Share> = (0..u32::try_from(places).unwrap())
        .map(|at| match at {
            2 => share(HOSTILE, 99),
            3 => share(LONG, 4),
            _ => share(&format!("bench-{at}"), at),
        })
        .collect();
    let (places, pager) = Pager::cut(&listing, shares);
    let choice = |weeks: u32, here| Choice {
        label: format!("{weeks} weeks"),
        count: 0,
        path: "/boards/usage".to_owned(),
        here,
    };
    UsagePage {
        shell: shell("Usage"),
        tabs: tabs(places.len(), 0, 0, "/boards/usage"),
        choices: vec![choice(4, false), choice(12, true), choice(52, false)],
        whole: share("", 1),
        taken: Chart::taken(&weeks),
        waits: Chart::waits(&weeks),
        tags: [("raspberry-pi", 1), (LONG, 50), (HOSTILE, 0)].map(|(name, at)| share(name, at)).to_vec(),
        listing,
        of,
        weeks,
        places,
        pager,
    }
}

fn refused(body: &[u8], error: &Error) -> Filled {
    Filled::refused(&Fields::parse(body).unwrap(), error)
}

fn samples() -> Vec<Sample> {
    let all = May { reserve: true, change: true, close: true };
    let taken = Error::Conflict("no place that would do became free: Grace has bench-1".to_owned());
    let time = Error::invalid("time", "\"2 weeks\" is no length of time: write 90m, 2h or 3d");
    let nobody = Error::invalid("to", "there is no person named \"nobody@example.org\"");
    let empty = FarmPlace { parts: vec![], ..place("bench-2") };
    let long = FarmPlace { waiting: 14, ..many().remove(3) };
    vec![
        Sample::of("farm-empty", &farm(&[], None, &[])),
        Sample::of("farm-3", &farm(&three(), None, &[])),
        Sample::of("farm-10", &Farm { tags: vec![], ..farm(&ordinary(), None, &[]) }),
        Sample::of("farm-none-found", &farm(&three(), Some(vec![]), &[("q", "nothing")])),
        Sample::of("farm-60", &farm(&many()[..60], None, &[("tag", "raspberry-pi")])),
        Sample::of("farm-1000", &farm(&many(), None, &[("sort", "-until"), ("page", "2"), ("tag", LONG)])),
        Sample::of("place-free", &detail(place("bench-2"), all, Forms::default())),
        Sample::of(
            "place-booked",
            &detail(FarmPlace { booking: bookings(2).pop(), ..place("bench-2") }, all, Forms::default()),
        ),
        Sample::of("place-viewer", &detail(three().remove(0), May::default(), Forms::default())),
        Sample::of(
            "place-refused",
            &detail(
                place("bench-2"),
                all,
                Forms { reserve: refused(b"time=2+weeks&name=", &time), ..Forms::default() },
            ),
        ),
        Sample::of(
            "place-taken",
            &detail(
                three().remove(0),
                all,
                Forms { reserve: refused(b"time=2h&name=", &taken), ..Forms::default() },
            ),
        ),
        Sample::of(
            "place-mine",
            &detail(
                held(place("bench-1"), "Ada", true),
                all,
                Forms { hand_over: refused(b"to=nobody@example.org", &nobody), ..Forms::default() },
            ),
        ),
        Sample::of("place-closed", &detail(three().remove(2), all, Forms::default())),
        Sample::of(
            "place-away",
            &detail(FarmPlace { here: false, ..held(empty, "Grace", false) }, all, Forms::default()),
        ),
        Sample::of("place-long", &detail(long, all, Forms::default())),
        Sample::of("mine-empty", &mine(vec![])),
        Sample::of(
            "mine-2",
            &mine(vec![
                held(place("bench-1"), "Ada", true),
                FarmPlace { waiting: 3, ..held(place(LONG), "Ada", true) },
            ]),
        ),
        Sample::of("usage-3", &usage(12, 3, Of::default())),
        Sample::of("usage-1000", &usage(52, 1000, Of { tag: Some(LONG.to_owned()), place: None })),
        Sample::of("usage-one", &usage(4, 1, Of { tag: None, place: Some("bench-1".to_owned()) })),
        Sample::of("usage-none", &usage(4, 0, Of { tag: Some(HOSTILE.to_owned()), place: None })),
        Sample::of("queue-empty", &queue(0)),
        Sample::of("queue-3", &queue(3)),
        Sample::of("queue-1000", &queue(1000)),
        Sample::of("booking", &moving(1, Filled::with([("from", "2026-12-01T14:00"), ("time", "2h")]))),
        Sample::of("booking-taken", &moving(2, refused(b"from=2026-12-01T14%3A00&time=2h", &taken))),
        Sample::of(
            "reserve",
            &ReserveAny {
                shell: shell("Reserve a place"),
                form: Filled::with([("time", "10h"), ("count", "2"), ("tags", "nrf52")]),
            },
        ),
        Sample::of(
            "reserve-taken",
            &ReserveAny {
                shell: shell("Reserve a place"),
                form: refused(b"time=2h&tags=nrf52&name=&count=1", &taken),
            },
        ),
    ]
}

/// Places for which commands are run.
fn samples_of_commands() -> Vec<Sample> {
    let all = May { reserve: true, change: true, close: true };
    let stuck = Error::Conflict(
        "bench-1: the command that switches the power on failed with exit status 1: no relay.".to_owned(),
    );
    let forms = Forms { power: refused(b"command=on", &stuck), ..Forms::default() };
    let running = Some(RunningCommand { occasion: Occasion::Before, since: NOW - Duration::seconds(40) });
    let mine = || held(place("bench-1"), "Ada", true);
    vec![
        Sample::of("place-power", &detail(powered(mine()), all, forms)),
        Sample::of("place-running", &detail(FarmPlace { running, ..mine() }, all, Forms::default())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_boards_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    let pictures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots/boards");
    look([samples(), samples_of_commands()].concat(), &pictures).await
}
