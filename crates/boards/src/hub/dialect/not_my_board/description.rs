//! A place as a Python exporter describes it, and as Python agents read it. What does not fit is refused in the words,
//! and in the order, that not-my-board's own models have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::python::{items, iterate};
use crate::api::{Part, TcpInterface, UsbInterface};
use crate::hub::places::Place;
use crate::not_my_board::message::Failure;
use crate::not_my_board::python::{missing_arguments, type_name};

/// What a Python exporter says of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) name: String,
    /// Where it takes agents, on the address that it comes from.
    pub(super) port: u64,
    pub(super) parts: Vec<Part>,
}

/// What Python calls the function that reads a model.
const READER: &str = "not_my_board._models.BaseModel.init_recursive()";

/// Reads the description of a place.
pub(super) fn read(value: &Value) -> Result<Description, Failure> {
    let fields = mapping(value)?;
    // The hub itself knows these, and passes them along with the rest.
    for known in ["id", "host"] {
        if fields.contains_key(known) {
            let message = format!("{READER} got multiple values for keyword argument '{known}'");
            return Err(Failure::raised(message));
        }
    }
    let parts = fields.get("parts").map(|parts| iterate(parts.clone())?.iter().map(read_part).collect());
    let parts: Option<Vec<Part>> = parts.transpose()?;
    needed("Place", fields, &["name", "port", "parts"])?;
    let name = text("name", &fields["name"])?;
    if name.chars().any(char::is_control) {
        return Err(Failure::raised("name: Invalid value"));
    }
    let port = positive("port", &fields["port"])?;
    Ok(Description { name, port, parts: parts.unwrap_or_default() })
}

fn read_part(value: &Value) -> Result<Part, Failure> {
    let fields = mapping(value)?;
    let compatible = fields.get("compatible").cloned().map(iterate).transpose()?;
    let usb = interfaces(fields.get("usb"), |fields| {
        needed("UsbExportDesc", fields, &["usbid"])?;
        let usbid = text("usbid", &fields["usbid"])?;
        if is_usbid(&usbid) {
            Ok(UsbInterface { usbid })
        } else {
            Err(Failure::raised("usbid: Invalid value"))
        }
    })?;
    let tcp = interfaces(fields.get("tcp"), |fields| {
        needed("TcpExportDesc", fields, &["host", "port"])?;
        let host = text("host", &fields["host"])?;
        Ok(TcpInterface { host, port: positive("port", &fields["port"])?, web_terminal: false })
    })?;
    needed("ExportedPart", fields, &["compatible"])?;
    let words = compatible.unwrap_or_default();
    let words = words.iter().enumerate().map(|(at, word)| text(&format!("compatible[{at}]"), word));
    Ok(Part { compatible: words.collect::<Result<_, _>>()?, usb, tcp })
}

fn interfaces<T>(
    value: Option<&Value>,
    read: impl Fn(&Map<String, Value>) -> Result<T, Failure>,
) -> Result<BTreeMap<String, T>, Failure> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    items(value)?.iter().map(|(name, value)| Ok((name.clone(), read(mapping(value)?)?))).collect()
}

fn mapping(value: &Value) -> Result<&Map<String, Value>, Failure> {
    value.as_object().ok_or_else(|| {
        Failure::raised(format!("{READER} argument after ** must be a mapping, not {}", type_name(value)))
    })
}

fn needed(model: &str, fields: &Map<String, Value>, names: &[&str]) -> Result<(), Failure> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !fields.contains_key(*name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing_arguments(&format!("{model}.__init__"), &missing)) }
}

fn text(path: &str, value: &Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(Failure::raised(format!("{path}: Expected str, got {}", type_name(other)))),
    }
}

/// A whole number from 1; in Python, `true` is one.
fn positive(path: &str, value: &Value) -> Result<u64, Failure> {
    let number = match value {
        Value::Bool(truth) => Some(u64::from(*truth)),
        Value::Number(number) if !number.is_f64() => number.as_u64(),
        other => return Err(Failure::raised(format!("{path}: Expected int, got {}", type_name(other)))),
    };
    number.filter(|number| *number > 0).ok_or_else(|| Failure::raised(format!("{path}: Invalid value")))
}

/// How the kernel names a USB port: the bus, a dash, and the ports of the hubs on the way, from 1 each.
fn is_usbid(text: &str) -> bool {
    let number =
        |word: &str| !word.starts_with('0') && !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    text.split_once('-').is_some_and(|(bus, ports)| number(bus) && ports.split('.').all(number))
}

/// A place as agents read it; none that they cannot reach.
pub(super) fn write(place: &Place) -> Option<Value> {
    let (host, port) = place.reach.legacy?;
    let parts: Vec<Part> = place.parts.iter().map(Part::as_upstream).collect();
    Some(json!({ "name": place.name, "port": port, "parts": parts, "id": place.id, "host": host }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb_ports_are_named_as_the_kernel_does() {
        for good in ["1-1", "10-4.2.11"] {
            assert!(is_usbid(good), "{good}");
        }
        for bad in ["01-1", "usb1", "1-0", "1-", "-1", "1-1.", "1-1.02", "1", "1-1-1", "1-١"] {
            assert!(!is_usbid(bad), "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_order_in_which_python_looks() {
        let told = |value: Value| read(&value).unwrap_err().message;
        assert_eq!(told(json!([])), format!("{READER} argument after ** must be a mapping, not list"));
        assert_eq!(
            told(json!({})),
            "Place.__init__() missing 3 required positional arguments: 'name', 'port', and 'parts'"
        );
        let part = json!({ "tcp": { "a": { "host": 1, "port": 0 } } });
        assert_eq!(told(json!({ "name": 5, "parts": [part] })), "host: Expected str, got int");
        assert_eq!(told(json!({ "name": "a\0b", "port": 1, "parts": [] })), "name: Invalid value");
        assert_eq!(told(json!({ "name": "a", "port": -1, "parts": [] })), "port: Invalid value");
        assert_eq!(told(json!({ "name": "a", "port": 1, "parts": 5 })), "'int' object is not iterable");
    }
}
