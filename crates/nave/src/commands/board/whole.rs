//! A place with everything that it has, as an import description: for whoever has none.

use std::collections::BTreeSet;

use nave_boards::api::FarmPlace;

/// Ports below this are for root.
const FIRST: u64 = 1024;
/// Where the ports of services go that are below it.
const SHIFT: u64 = 8000;

/// The description, as TOML. Services of one port are told apart by going up.
pub(super) fn description(place: &FarmPlace) -> String {
    let mut parts = toml::Table::new();
    let (mut taken, mut usb_port) = (BTreeSet::new(), 0_i64);
    for (at, part) in place.parts.iter().enumerate() {
        let mut tcp = toml::Table::new();
        for (name, service) in &part.tcp {
            let mut port = if service.port < FIRST { service.port + SHIFT } else { service.port };
            while !taken.insert(port) {
                port += 1;
            }
            let port = i64::try_from(port).unwrap_or(i64::MAX);
            tcp.insert(name.clone(), toml::Table::from_iter([("local_port".to_owned(), port.into())]).into());
        }
        let mut usb = toml::Table::new();
        for name in part.usb.keys() {
            usb.insert(
                name.clone(),
                toml::Table::from_iter([("port_num".to_owned(), usb_port.into())]).into(),
            );
            usb_port += 1;
        }
        let compatible: Vec<toml::Value> = part.compatible.iter().cloned().map(Into::into).collect();
        let wanted = [
            ("compatible".to_owned(), compatible.into()),
            ("tcp".to_owned(), tcp.into()),
            ("usb".to_owned(), usb.into()),
        ];
        parts.insert(format!("part-{}", at + 1), toml::Table::from_iter(wanted).into());
    }
    toml::Table::from_iter([("parts".to_owned(), parts.into())]).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nave_boards::api::{Part, TcpInterface, UsbInterface};
    use nave_boards::node::import::ImportDescription;

    use super::*;

    #[test]
    fn everything_has_a_port_of_its_own() {
        let tcp = |port| TcpInterface { host: "127.0.0.1".to_owned(), port, web_terminal: false };
        let part = Part {
            compatible: vec!["a \"quoted\" word".to_owned()],
            tcp: BTreeMap::from([
                ("http".to_owned(), tcp(80)),
                ("other".to_owned(), tcp(8080)),
                ("ssh".to_owned(), tcp(22)),
            ]),
            usb: BTreeMap::from([("jtag".to_owned(), UsbInterface { usbid: "1-1".to_owned() })]),
        };
        let place = FarmPlace {
            name: "bench".to_owned(),
            parts: vec![part.clone(), part],
            here: true,
            node: None,
            address: None,
            uniqueness: 0.0,
            maintenance: None,
            reservation: None,
            booking: None,
            waiting: 0,
            running: None,
            power: Vec::new(),
        };
        let description = ImportDescription::parse(&description(&place)).unwrap();
        let ports: Vec<u64> =
            description.parts.values().flat_map(|part| part.tcp.values().map(|tcp| tcp.local_port)).collect();
        assert_eq!(ports, [8080, 8081, 8022, 8082, 8083, 8023]);
        let usb: Vec<u32> =
            description.parts.values().flat_map(|part| part.usb.values().map(|usb| usb.port_num)).collect();
        assert_eq!(usb, [0, 1]);
        assert!(nave_boards::api::assign(&description.wanted(), &place.parts).is_some());
    }
}
