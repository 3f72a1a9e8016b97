//! Import descriptions: what somebody wants of a place, and where its interfaces shall be on this machine. A TOML file of
//! not-my-board's form.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::api::WantedPart;

/// When a place goes back by itself if the description does not say.
const DEFAULT_AUTO_RETURN: &str = "10h";

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportDescription {
    /// How long after reserving (or editing) the place goes back by itself; `None`: never.
    pub auto_return: Option<Duration>,
    /// The wanted parts by the names that whoever wants them gave them.
    pub parts: BTreeMap<String, ImportedPart>,
}

/// A wanted part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportedPart {
    /// It must be all of these.
    pub compatible: Vec<String>,
    /// USB devices by their interface's name.
    #[serde(default)]
    pub usb: BTreeMap<String, ImportedUsb>,
    /// TCP services by their interface's name.
    #[serde(default)]
    pub tcp: BTreeMap<String, ImportedTcp>,
}

/// Where a USB device shall be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportedUsb {
    /// The port of the virtual host controller, from 0.
    pub port_num: u32,
}

/// Where a TCP service shall be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportedTcp {
    /// The port on `localhost`, from 1.
    pub local_port: u64,
}

#[derive(Deserialize)]
struct File {
    auto_return_time: Option<String>,
    parts: BTreeMap<String, ImportedPart>,
}

/// Why a description cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is not what it should be.
    #[error("the import description cannot be used: {problem} (at line {line}, column {column})")]
    Text {
        /// What is wrong.
        problem: String,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
    },
    /// A port that cannot be listened on.
    #[error(
        "the import description cannot be used: parts.{part}.tcp.{interface}.local_port: {port} is no port"
    )]
    Port {
        /// The part.
        part: String,
        /// The interface.
        interface: String,
        /// What it says.
        port: u64,
    },
    /// `auto_return_time` is empty.
    #[error("Time is an empty string")]
    EmptyTime,
    /// `auto_return_time` is no period.
    #[error("Invalid time format")]
    Time,
}

impl ImportDescription {
    /// Reads a description. Members that nobody knows are passed over, as not-my-board does.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            ImportError::Text { problem: error.message().replace('\n', " "), line, column }
        })?;
        for (part, imported) in &file.parts {
            for (interface, tcp) in &imported.tcp {
                if tcp.local_port == 0 || tcp.local_port > u64::from(u16::MAX) {
                    let (part, interface) = (part.clone(), interface.clone());
                    return Err(ImportError::Port { part, interface, port: tcp.local_port });
                }
            }
        }
        let auto_return = period(file.auto_return_time.as_deref().unwrap_or(DEFAULT_AUTO_RETURN))?;
        Ok(Self { auto_return: Some(auto_return).filter(|period| !period.is_zero()), parts: file.parts })
    }

    /// What the parts must be and have, in the order of their names.
    pub fn wanted(&self) -> Vec<WantedPart> {
        let wanted = |part: &ImportedPart| WantedPart {
            compatible: part.compatible.clone(),
            usb: part.usb.keys().cloned().collect(),
            tcp: part.tcp.keys().cloned().collect(),
        };
        self.parts.values().map(wanted).collect()
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A period as not-my-board writes it, `1w2d3h4m5s`: each unit at most once and in this order; the last number may be
/// without its `s`.
pub fn period(text: &str) -> Result<Duration, ImportError> {
    const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    if text.is_empty() {
        return Err(ImportError::EmptyTime);
    }
    let (mut seconds, mut left, mut units) = (0_u64, text, UNITS.iter());
    while !left.is_empty() {
        let digits = left.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = left.split_at(digits);
        if number.is_empty() {
            return Err(ImportError::Time);
        }
        let unit = rest.chars().next().unwrap_or('s');
        let (_, length) = units.find(|(word, _)| *word == unit).ok_or(ImportError::Time)?;
        // What no clock will see is for ever.
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        seconds = seconds.saturating_add(number.saturating_mul(*length));
        left = rest.get(1..).unwrap_or_default();
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Result<u64, ImportError> {
        period(text).map(|period| period.as_secs())
    }

    #[test]
    fn periods_have_each_unit_once_and_in_order() {
        for (text, expected) in [
            ("0", 0),
            ("10h", 36_000),
            ("1w2d3h4m5s", 788_645),
            ("90", 90),
            ("1h30", 3_630),
            ("1d5s", 86_405),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["h", "1m1h", "1h1h", "-1", "1 h", "1.5h", "10x", "1h ", "5s1", "1s1s"] {
            assert_eq!(seconds(text), Err(ImportError::Time), "{text}");
        }
        assert_eq!(seconds(""), Err(ImportError::EmptyTime));
        assert_eq!(seconds("99999999999999999999w"), Ok(u64::MAX));
    }

    #[test]
    fn a_description_says_what_is_wanted_and_where() -> Result<(), ImportError> {
        let text = "auto_return_time = \"0\"\nother = 1\n[parts.b]\ncompatible = [\"x\"]\nusb.u = { port_num = 0 }\n\
                    [parts.a]\ncompatible = []\ntcp.t = { local_port = 80, more = true }\n";
        let description = ImportDescription::parse(text)?;
        assert_eq!(description.auto_return, None);
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            description.wanted(),
            [
                WantedPart { compatible: vec![], usb: vec![], tcp: words(&["t"]) },
                WantedPart { compatible: words(&["x"]), usb: words(&["u"]), tcp: vec![] }
            ]
        );
        assert_eq!(ImportDescription::parse("[parts]")?.auto_return, Some(Duration::from_hours(10)));
        Ok(())
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let told = |text: &str| ImportDescription::parse(text).unwrap_err().to_string();
        assert!(told("[parts").ends_with("(at line 1, column 7)"), "{}", told("[parts"));
        let negative = "[parts.a]\ncompatible = []\nusb.u = { port_num = -1 }\n";
        assert!(told(negative).ends_with("(at line 3, column 22)"), "{}", told(negative));
        assert!(told("[parts.a]\n").contains("compatible"));
        assert!(told("auto_return_time = \"1h\"").contains("parts"));
        let port = "[parts.a]\ncompatible = []\ntcp.t = { local_port = 65536 }\n";
        assert!(told(port).ends_with("parts.a.tcp.t.local_port: 65536 is no port"));
        assert_eq!(told("auto_return_time = \"\"\nparts = {}"), "Time is an empty string");
    }
}
