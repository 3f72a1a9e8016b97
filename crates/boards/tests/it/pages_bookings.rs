//! Booking from the browser: a time is picked by the clock of whoever picks it, comes back by that clock, is cancelled, and
//! is kept from others; and without scripts it is in UTC.

use anyhow::ensure;
use fantoccini::key::Key;
use nave_core::api::Role;
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use nave_testkit::visit::Visit;
use serde_json::json;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, Time, UtcOffset};

use crate::client::{OPEN, farm};
use crate::pages::exporter;

/// East of everybody who writes tests, and without daylight saving.
const ZONE: &str = "Asia/Kolkata";
const AHEAD: UtcOffset = match UtcOffset::from_hms(5, 30, 0) {
    Ok(offset) => offset,
    Err(_) => UtcOffset::UTC,
};

/// The form of a place's page.
const BOOK: &str = "form[action$='/book']";

/// Some days ahead, at two o'clock in that zone.
fn two_o_clock(hub: &TestHub, days: i64) -> OffsetDateTime {
    let day = (hub.hub().clock.now().to_offset(AHEAD) + Duration::days(days)).date();
    day.with_time(Time::MIDNIGHT + Duration::hours(14)).assume_offset(AHEAD)
}

/// As a field holds it, and as people read it.
fn shown(at: OffsetDateTime, between: char) -> String {
    let shape = format_description!("[year]-[month]-[day] [hour]:[minute]");
    at.format(&shape).unwrap().replace(' ', &between.to_string())
}

/// Picks a time; what is typed into such a field depends on the language of the browser.
async fn picks(visit: &Visit, at: &str) -> anyhow::Result<()> {
    visit.sees("#from").await?;
    let set = "const field = document.getElementById('from'); field.value = arguments[0]; \
        field.dispatchEvent(new Event('input', { bubbles: true }));";
    visit.browser.client().execute(set, vec![json!(at)]).await?;
    Ok(())
}

async fn lasts(visit: &Visit, time: &str) -> anyhow::Result<()> {
    let field = visit.sees(&format!("{BOOK} [name=time]")).await?;
    field.clear().await?;
    Ok(field.send_keys(time).await?)
}

async fn picked(visit: &Visit) -> anyhow::Result<Option<String>> {
    Ok(visit.sees("#from").await?.prop("value").await?)
}

async fn elsewhere(hub: &TestHub, person: &TestPerson) -> anyhow::Result<Visit> {
    let visit = Visit::of(hub, person).await?;
    visit.browser.devtools("Emulation.setTimezoneOverride", &json!({ "timezoneId": ZONE })).await?;
    Ok(visit)
}

fn booked(hub: &TestHub) -> Vec<(String, OffsetDateTime, OffsetDateTime)> {
    let pool = hub.hub().leases.pool("boards").unwrap();
    pool.bookings().into_iter().map(|it| (it.resource, it.starts_at, it.ends_at)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_booked_by_the_clock_of_the_browser_and_cancelled_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    let _exporter = exporter(&hub, "bench").await?;
    let (visit, other) = (elsewhere(&hub, &ada).await?, Visit::of(&hub, &grace).await?);
    other.to("/boards/places/bench").await?;
    other.reads("Nobody has booked it.").await?;
    other.sees("nave-live[state=live]").await?;
    visit.to("/boards/places/bench").await?;
    visit.reads("In your time zone, Asia/").await?;

    // What is wrong stands beside its field, and what was picked stays as it was.
    let (past, start) = (two_o_clock(&hub, -2), two_o_clock(&hub, 2));
    picks(&visit, &shown(past, 'T')).await?;
    visit.presses("Book").await?;
    visit.sees("#from[aria-invalid=true]").await?;
    visit.reads("Is not in the future").await?;
    ensure!(picked(&visit).await? == Some(shown(past, 'T')), "{:?}", picked(&visit).await?);
    visit.reads("In your time zone, Asia/").await?;
    picks(&visit, &shown(start, 'T')).await?;
    visit.sees(&format!("{BOOK} [name=name]")).await?.send_keys("kernel tests").await?;
    visit.presses("Book").await?;
    visit.reads("bench is booked for you.").await?;
    assert_eq!(booked(&hub), [("bench".to_owned(), start, start + Duration::hours(2))]);
    // By her clock, with its zone; by the clock of somebody else for them, without loading the page.
    visit.reads(&format!("{} GMT+5:30", shown(start, ' '))).await?;
    visit.reads("then it is booked by Ada").await?;
    other.reads("then it is booked by Ada").await?;
    other.reads(&shown(start.to_offset(UtcOffset::UTC), ' ')).await?;

    // It is kept from others, who are told so.
    picks(&other, &shown((start + Duration::hours(1)).to_offset(UtcOffset::UTC), 'T')).await?;
    lasts(&other, "3h").await?;
    other.presses("Book").await?;
    other.reads("Ada has booked bench from").await?;
    other.to("/boards/queue").await?;
    other.reads("Booked").await?;
    other.presses("Cancel the booking of Ada").await?;
    other.reads("The booking of bench is cancelled.").await?;
    ensure!(booked(&hub).is_empty());
    visit.reads("Nobody has booked it.").await?;

    // One's own, from the page that lists them.
    visit.to("/boards/reserve").await?;
    picks(&visit, &shown(start, 'T')).await?;
    visit.presses("Reserve").await?;
    visit.reads("bench is booked for you.").await?;
    assert_eq!(booked(&hub), [("bench".to_owned(), start, start + Duration::hours(10))]);
    visit.to("/boards/reservations").await?;
    visit.reads(&shown(start, ' ')).await?;

    // Moved: the field holds the time that it has, by her clock; what cannot be leaves it as it was.
    visit.presses("Move the booking of bench").await?;
    visit.reads("In your time zone, Asia/").await?;
    ensure!(picked(&visit).await? == Some(shown(start, 'T')), "{:?}", picked(&visit).await?);
    picks(&visit, &shown(past, 'T')).await?;
    visit.presses("Move it").await?;
    visit.reads("Is not in the future").await?;
    visit.sees("#from[aria-invalid=true]").await?;
    ensure!(picked(&visit).await? == Some(shown(past, 'T')), "{:?}", picked(&visit).await?);
    assert_eq!(booked(&hub), [("bench".to_owned(), start, start + Duration::hours(10))]);
    let later = start + Duration::hours(3);
    picks(&visit, &shown(later, 'T')).await?;
    visit.types("time", "4h").await?;
    visit.presses("Move it").await?;
    visit.reads("The booking of bench is moved.").await?;
    assert_eq!(booked(&hub), [("bench".to_owned(), later, later + Duration::hours(4))]);
    visit.to("/boards/reservations").await?;
    visit.reads(&shown(later, ' ')).await?;
    visit.presses("Cancel the booking of bench").await?;
    visit.reads("You have no place").await?;
    visit.to("/audit").await?;
    visit.reads("Ada moved the booking of bench to the time from").await?;
    visit.reads("Grace cancelled the booking of bench").await?;
    visit.reads("Ada cancelled the booking of bench").await?;
    other.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_extended_up_to_a_booking_and_handed_over_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    let _exporter = exporter(&hub, "bench").await?;
    let (visit, other) = (elsewhere(&hub, &ada).await?, Visit::of(&hub, &grace).await?);
    visit.to("/boards/places/bench").await?;
    visit.types("time", "1h").await?;
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    let start = two_o_clock(&hub, 3);
    other.to("/boards/places/bench").await?;
    picks(&other, &shown(start.to_offset(UtcOffset::UTC), 'T')).await?;
    other.types("time", "1d").await?;
    other.presses("Book").await?;
    other.reads("bench is booked for you.").await?;

    visit.types("more", "30d").await?;
    visit.presses("Extend").await?;
    visit.reads("Bench is booked by Grace from").await?;
    // It stays there to be read, also when something happens to the place meanwhile.
    visit.sees("nave-live[state=live]").await?;
    let again = two_o_clock(&hub, 9).to_offset(UtcOffset::UTC);
    picks(&other, &shown(again, 'T')).await?;
    other.presses("Book").await?;
    other.reads("bench is booked for you.").await?;
    visit.reads(&format!("{} GMT+5:30", shown(again.to_offset(AHEAD), ' '))).await?;
    visit.reads("Bench is booked by Grace from").await?;
    visit.reads("In your time zone").await?;
    ensure!(visit.sees("#more").await?.prop("value").await?.as_deref() == Some("30d"));
    visit.types("more", "2d").await?;
    visit.presses("Extend").await?;
    visit.reads("bench is kept for longer.").await?;
    visit.types("to", &grace.email).await?;
    visit.presses("Hand over").await?;
    visit.reads("Grace has it").await?;
    visit.to("/audit").await?;
    visit.reads("Ada handed over bench to Grace").await?;
    other.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_times_are_in_utc_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _exporter = exporter(&hub, "bench").await?;
    let visit = elsewhere(&hub, &ada).await?;
    visit.browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true })).await?;
    visit.to("/boards/places/bench").await?;
    visit.reads("In UTC").await?;
    let start = two_o_clock(&hub, 2).to_offset(UtcOffset::UTC);
    // As it is typed in the language of this browser, English of the United States.
    let (day, time) =
        (format_description!("[month][day][year]"), format_description!("[hour repr:12][minute][period]"));
    let typed = format!("{}{}{}", start.format(&day)?, char::from(Key::Tab), start.format(&time)?);
    visit.sees("#from").await?.send_keys(&typed).await?;
    lasts(&visit, "1h").await?;
    visit.presses("Book").await?;
    visit.reads("bench is booked for you.").await?;
    visit.reads(&format!("{}:00 UTC", shown(start, ' '))).await?;
    assert_eq!(booked(&hub), [("bench".to_owned(), start, start + Duration::hours(1))]);
    visit.end().await
}
