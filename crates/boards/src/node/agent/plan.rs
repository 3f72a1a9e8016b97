//! Which places fit an import description, and what is to be attached of one that does.

use super::farm::Place;
use crate::api;
use crate::node::import::ImportDescription;

/// An interface that is wanted here: where it is and where it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The imported part's name.
    pub part: String,
    /// The interface's name.
    pub interface: String,
    /// Of which kind.
    pub kind: Kind,
}

/// A kind of interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A USB device.
    Usb {
        /// The port it hangs on at the exporter.
        usbid: String,
        /// The port of the virtual host controller here.
        port_num: u32,
    },
    /// A TCP service.
    Tcp {
        /// The host, as the exporter reaches it.
        host: String,
        /// The port there.
        port: u64,
        /// The port on `localhost` here.
        local_port: u16,
    },
}

impl Kind {
    /// As people read it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Usb { .. } => "USB",
            Self::Tcp { .. } => "TCP",
        }
    }
}

/// What is to be attached of a place, in the order of names; `None` if it does not fit. A description without parts fits
/// nothing.
pub fn plan(description: &ImportDescription, place: &Place) -> Option<Vec<Attachment>> {
    if description.parts.is_empty() {
        return None;
    }
    let assigned = api::assign(&description.wanted(), &place.parts)?;
    let mut attachments = Vec::new();
    for ((name, imported), at) in description.parts.iter().zip(assigned) {
        let part = place.parts.get(at)?;
        for (interface, usb) in &imported.usb {
            let usbid = part.usb.get(interface)?.usbid.clone();
            let kind = Kind::Usb { usbid, port_num: usb.port_num };
            attachments.push(Attachment { part: name.clone(), interface: interface.clone(), kind });
        }
        for (interface, tcp) in &imported.tcp {
            let there = part.tcp.get(interface)?;
            // Descriptions with other ports are not read.
            let local_port = u16::try_from(tcp.local_port).ok()?;
            let kind = Kind::Tcp { host: there.host.clone(), port: there.port, local_port };
            attachments.push(Attachment { part: name.clone(), interface: interface.clone(), kind });
        }
    }
    Some(attachments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::agent::farm::PlaceId;

    #[test]
    fn interfaces_are_wired_by_name_from_the_part_that_serves() {
        let parts = serde_json::json!([
            { "compatible": ["pi"], "usb": {}, "tcp": { "ssh": { "host": "a", "port": 22 } } },
            { "compatible": ["pi", "v2"], "usb": { "u": { "usbid": "1-2" } }, "tcp": { "ssh": { "host": "b", "port": 22 } } },
        ]);
        let place = Place {
            name: "bench".to_owned(),
            port: 1,
            parts: serde_json::from_value(parts).unwrap(),
            id: PlaceId(1),
            host: "::1".to_owned(),
        };
        let text = "[parts.any]\ncompatible = [\"pi\"]\ntcp.ssh = { local_port = 2222 }\n\
                    [parts.v2]\ncompatible = [\"v2\"]\nusb.u = { port_num = 3 }\n";
        let attachments = plan(&ImportDescription::parse(text).unwrap(), &place).unwrap();
        let tcp = Kind::Tcp { host: "a".to_owned(), port: 22, local_port: 2222 };
        let usb = Kind::Usb { usbid: "1-2".to_owned(), port_num: 3 };
        let attachment = |part: &str, interface: &str, kind| Attachment {
            part: part.to_owned(),
            interface: interface.to_owned(),
            kind,
        };
        assert_eq!(attachments, [attachment("any", "ssh", tcp), attachment("v2", "u", usb)]);
        assert_eq!(plan(&ImportDescription::parse("[parts]").unwrap(), &place), None);
    }
}
