//! What happens to places, in words for people.

use nave_core::api::Event;
use nave_core::clock::from_millis;
use nave_web::section::Told;
use nave_web::ui::Tone;
use nave_web::words;
use serde_json::Value;

use super::views::path_of;

pub(super) fn tell(event: &Event) -> Option<Told> {
    if event.object_kind != "place" {
        return None;
    }
    let text = |name: &str| event.detail[name].as_str().unwrap_or_default();
    let holder = || Some(text("holder").to_owned());
    let until = || event.detail["until"].as_i64().map(|at| words::exact(from_millis(at)));
    let since = || {
        event.detail["from"]
            .as_i64()
            .map_or(String::new(), |at| format!("from {}", words::exact(from_millis(at))))
    };
    let until_or_not = || until().map_or(String::new(), |until| format!(" to {until}"));
    let (tone, who, did, rest) = match event.action.as_str() {
        "place.closed" => (Tone::Warn, None, "marked", format!("as out of service: {}", text("reason"))),
        "place.opened" => (Tone::Good, None, "put", "into service again".to_owned()),
        "place.power" => match text("command") {
            "cycle" => (Tone::Plain, None, "switched", "off and on again".to_owned()),
            command => (Tone::Plain, None, "switched", command.to_owned()),
        },
        "terminal.opened" => (Tone::Plain, None, "opened a terminal on", format!("({})", text("interface"))),
        "terminal.closed" => (
            Tone::Plain,
            None,
            "closed a terminal on",
            format!("({}): {}", text("interface"), text("reason")),
        ),
        "lease.granted" if event.detail["booking"].is_string() => {
            (Tone::Good, holder(), "has", "from now on, as booked".to_owned())
        }
        "lease.booked" => (Tone::Plain, None, "booked", format!("{}{}", since(), until_or_not())),
        "lease.booking_changed" if text("holder") == event.actor => {
            (Tone::Plain, None, "moved the booking of", format!("to the time {}{}", since(), until_or_not()))
        }
        "lease.booking_changed" => (
            Tone::Plain,
            None,
            "moved the booking of",
            format!("by {} to the time {}{}", text("holder"), since(), until_or_not()),
        ),
        "lease.booking_cancelled" if text("holder") == event.actor => {
            (Tone::Plain, None, "cancelled the booking of", since())
        }
        "lease.booking_cancelled" => {
            (Tone::Warn, None, "cancelled the booking of", format!("{} by {}", since(), text("holder")))
        }
        "lease.booking_missed" => (
            Tone::Warn,
            holder(),
            "did not get",
            "as booked: it was away or out of service until the end".to_owned(),
        ),
        "lease.granted" => (Tone::Good, None, "reserved", together(&event.detail["together_with"])),
        "lease.extended" => {
            let rest = until().map_or("without an end".to_owned(), |until| format!("until {until}"));
            (Tone::Plain, None, "extended the reservation of", rest)
        }
        "lease.handed_over" if text("from") == event.actor => {
            (Tone::Plain, None, "handed over", format!("to {}", text("to")))
        }
        "lease.handed_over" => {
            (Tone::Plain, None, "handed over", format!("from {} to {}", text("from"), text("to")))
        }
        "lease.ended" => match text("reason") {
            "returned" => (Tone::Plain, None, "returned", String::new()),
            "revoked" => (Tone::Warn, None, "took away", format!("from {}", text("holder"))),
            "expired" => (Tone::Plain, holder(), "no longer has", "since the time was over".to_owned()),
            "booked" => {
                (Tone::Plain, holder(), "no longer has", "since it was booked from then on".to_owned())
            }
            "holder_gone" => (Tone::Warn, holder(), "no longer has", "since the connection ended".to_owned()),
            "resource_gone" => (Tone::Warn, holder(), "no longer has", "since it went away".to_owned()),
            "not_taken" => (Tone::Plain, holder(), "did not wait for", "any longer".to_owned()),
            "not_ready" => {
                (Tone::Bad, holder(), "did not get", "since it could not be made ready".to_owned())
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Told { tone, who, did, rest, path: Some(path_of(&event.object_id)) })
}

/// With which places one was reserved at once, in words.
fn together(others: &Value) -> String {
    let names: Vec<&str> = others.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { String::new() } else { format!("together with {}", names.join(", ")) }
}

/// Why a reservation ended, in words, and what that says.
pub(super) fn ending(reason: &str) -> (Tone, &'static str) {
    match reason {
        "returned" => (Tone::Plain, "returned it"),
        "revoked" => (Tone::Warn, "had it taken away"),
        "expired" => (Tone::Plain, "had no time left"),
        "booked" => (Tone::Plain, "gave way to a booking"),
        "holder_gone" => (Tone::Warn, "lost the connection"),
        "resource_gone" => (Tone::Warn, "lost it when it went away"),
        "not_taken" => (Tone::Plain, "was gone when it was free"),
        "not_ready" => (Tone::Bad, "lost it, since it could not be made ready"),
        _ => (Tone::Plain, "ended it"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn said(action: &str, detail: Value) -> String {
        let event = Event {
            id: 7,
            at: datetime!(2026-08-04 12:00 UTC),
            actor_kind: "person".into(),
            actor_id: "1".into(),
            actor: "Ada".into(),
            source: None,
            request: "r".into(),
            action: action.into(),
            object_kind: "place".into(),
            object_id: "bench 1".into(),
            object: "bench 1".into(),
            detail,
        };
        let told = tell(&event).unwrap();
        let who = told.who.unwrap_or(event.actor);
        format!("{who} {} [{}] {}", told.did, told.path.unwrap(), told.rest).trim_end().to_owned()
    }

    #[test]
    fn what_happens_to_places_is_told_in_sentences() {
        let place = "[/boards/places/bench%201]";
        let ended = |reason: &str| said("lease.ended", json!({ "holder": "Grace", "reason": reason }));
        assert_eq!(said("lease.granted", json!({})), format!("Ada reserved {place}"));
        assert_eq!(
            said("lease.granted", json!({ "together_with": ["bench-2", "stm-1"] })),
            format!("Ada reserved {place} together with bench-2, stm-1")
        );
        assert_eq!(
            said("lease.extended", json!({ "until": 1_785_848_400_000_i64 })),
            format!("Ada extended the reservation of {place} until 2026-08-04 13:00:00 UTC")
        );
        assert_eq!(
            said("lease.handed_over", json!({ "from": "Ada", "to": "Grace" })),
            format!("Ada handed over {place} to Grace")
        );
        let booked = json!({ "booking": "1", "holder": "Grace", "from": 1_785_848_400_000_i64, "until": 1_785_852_000_000_i64 });
        assert_eq!(
            said("lease.booked", booked.clone()),
            format!("Ada booked {place} from 2026-08-04 13:00:00 UTC to 2026-08-04 14:00:00 UTC")
        );
        assert_eq!(
            said("lease.granted", booked.clone()),
            format!("Grace has {place} from now on, as booked")
        );
        assert_eq!(
            said("lease.booking_changed", booked.clone()),
            format!(
                "Ada moved the booking of {place} by Grace to the time from 2026-08-04 13:00:00 UTC to \
                 2026-08-04 14:00:00 UTC"
            )
        );
        assert_eq!(
            said("lease.booking_cancelled", booked),
            format!("Ada cancelled the booking of {place} from 2026-08-04 13:00:00 UTC by Grace")
        );
        assert_eq!(ended("booked"), format!("Grace no longer has {place} since it was booked from then on"));
        assert_eq!(ended("returned"), format!("Ada returned {place}"));
        assert_eq!(ended("revoked"), format!("Ada took away {place} from Grace"));
        assert_eq!(ended("not_ready"), format!("Grace did not get {place} since it could not be made ready"));
        assert_eq!(said("place.power", json!({ "command": "off" })), format!("Ada switched {place} off"));
        assert_eq!(ended("expired"), format!("Grace no longer has {place} since the time was over"));
        assert_eq!(
            said("place.closed", json!({ "reason": "smoke" })),
            format!("Ada marked {place} as out of service: smoke")
        );
        assert_eq!(said("place.opened", Value::Null), format!("Ada put {place} into service again"));
    }
}
