//! What both halves agree on: how a place is described, and how a wish for one is. The words are not-my-board's.

mod command;
mod farm;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::command::{CommandRun, MOST_OUTPUT, Occasion, Outcome, clean};
pub use self::farm::{
    BookRequest, Booking, BookingChange, BookingState, FarmPlace, HandOver, Maintenance, PastReservation,
    PlaceDetail, PowerCommand, PowerRequest, QueueTurn, Reservation, ReservationChange, ReserveRequest,
    ReserveSetRequest, RunningCommand, SetMaintenance, Turn, WaitedFor, Waiter, WantedPlace,
};
use nave_core::matching;

/// A text, as the description of the API tells of it: any but one with the character NUL.
#[cfg(feature = "hub")]
#[derive(Debug, utoipa::ToSchema)]
#[schema(pattern = "^[^\\x00]*$")]
pub struct Text(pub String);

/// A part of a place, as its exporter describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Part {
    /// What it is: whoever wants a part names some of these.
    pub compatible: Vec<String>,
    /// USB devices, by the interface's name.
    #[serde(default)]
    pub usb: BTreeMap<String, UsbInterface>,
    /// TCP services, by the interface's name.
    #[serde(default)]
    pub tcp: BTreeMap<String, TcpInterface>,
}

/// A USB device of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct UsbInterface {
    /// The port it hangs on, as the kernel names it: `1-4.2`.
    pub usbid: String,
}

/// A TCP service of a part, as the exporter reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct TcpInterface {
    /// The host.
    pub host: String,
    /// The port; what a foreign exporter claims may be larger than any port.
    pub port: u64,
    /// Whether its holder may use it in the browser: such a stream ends in the hub, which can read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub web_terminal: bool,
}

/// A part that somebody wants: what it must be and have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WantedPart {
    /// All of these.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<Text>))]
    pub compatible: Vec<String>,
    /// USB interfaces of these names.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<Text>))]
    pub usb: Vec<String>,
    /// TCP interfaces of these names.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<Text>))]
    pub tcp: Vec<String>,
}

impl Part {
    /// As not-my-board knows it: without what only Nave has.
    #[must_use]
    pub fn as_upstream(&self) -> Self {
        let plain = |tcp: &TcpInterface| TcpInterface { web_terminal: false, ..tcp.clone() };
        let tcp = self.tcp.iter().map(|(name, tcp)| (name.clone(), plain(tcp))).collect();
        Self { tcp, ..self.clone() }
    }

    /// Whether it is and has what is wanted.
    pub fn serves(&self, wanted: &WantedPart) -> bool {
        wanted.compatible.iter().all(|word| self.compatible.contains(word))
            && wanted.usb.iter().all(|name| self.usb.contains_key(name))
            && wanted.tcp.iter().all(|name| self.tcp.contains_key(name))
    }
}

/// Whether the parts of a place can serve every wanted part, each with a part of its own; for each wanted part, the index
/// of the one that serves it.
pub fn assign(wanted: &[WantedPart], parts: &[Part]) -> Option<Vec<usize>> {
    if let [only] = wanted {
        return parts.iter().position(|part| part.serves(only)).map(|at| vec![at]);
    }
    let serving: Vec<Vec<usize>> = wanted
        .iter()
        .map(|wanted| (0..parts.len()).filter(|at| parts[*at].serves(wanted)).collect())
        .collect();
    matching::maximum(&serving, parts.len()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(compatible: &[&str], usb: &[&str]) -> Part {
        let usb = usb.iter().map(|name| ((*name).to_owned(), UsbInterface { usbid: "1-1".to_owned() }));
        Part { compatible: words(compatible), usb: usb.collect(), tcp: BTreeMap::new() }
    }

    fn wanted(compatible: &[&str], usb: &[&str]) -> WantedPart {
        WantedPart { compatible: words(compatible), usb: words(usb), tcp: Vec::new() }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn each_wanted_part_has_one_of_its_own() {
        let parts = [part(&["board", "v2"], &["jtag"]), part(&["board"], &[])];
        assert_eq!(
            assign(&[wanted(&["board"], &[]), wanted(&["board"], &["jtag"])], &parts),
            Some(vec![1, 0])
        );
        assert_eq!(assign(&[wanted(&["v2"], &[]), wanted(&["v2"], &[])], &parts), None);
        assert_eq!(assign(&[wanted(&["board"], &["serial"])], &parts), None);
        assert_eq!(assign(&[], &parts), Some(vec![]));
    }
}
