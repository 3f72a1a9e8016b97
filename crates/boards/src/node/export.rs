//! Export descriptions: what a place is and has, and on which port its exporter lets people through to it. A TOML file of
//! not-my-board's form, with two tables that Nave alone knows; the place is called as the file is, without its ending.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroU16;
use std::path::Path;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::commands::{Commands, DescribedHooks, DescribedPower};
use super::usb::BusId;
use crate::api::{Part, TcpInterface, UsbInterface};

/// The largest description, in bytes: thousands of parts fit in.
const LARGEST: u64 = 256 << 10;
/// The longest name of a host (RFC 1035, section 2.3.4), in bytes.
const LONGEST_HOST: usize = 253;

/// A place as its exporter describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportDescription {
    /// What the place is called.
    pub name: String,
    /// Where its exporter listens.
    pub port: u16,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// What is run for it.
    pub commands: Commands,
}

/// Why a description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be read.
    #[error("the export description {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than any description.
    #[error("the export description {path} is larger than {} KiB", LARGEST >> 10)]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The file's name names no place.
    #[error("{path}: the place is called as the file is, so that must be a text without control characters")]
    Name {
        /// The file.
        path: String,
    },
    /// Something in it is not what it should be.
    #[error("{path}, line {line}, column {column}: {}{problem}", field_of(.field))]
    Text {
        /// The file.
        path: String,
        /// The field, such as `parts[0].tcp.http.port`; empty where there is none.
        field: String,
        /// What is wrong with it, and what it should be.
        problem: String,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
    },
}

fn field_of(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("`{field}`: ") }
}

impl ExportDescription {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no description; they name the file, the field and what is expected there.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let shown = path.display().to_string();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let name = stem.filter(|stem| !stem.chars().any(char::is_control));
        let name = name.ok_or_else(|| ExportError::Name { path: shown.clone() })?;
        let unreadable = |source| ExportError::Unreadable { path: shown.clone(), source };
        let mut text = String::new();
        let mut file = File::open(path).map_err(unreadable)?.take(LARGEST + 1);
        file.read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LARGEST {
            return Err(ExportError::TooLarge { path: shown });
        }
        let mut place = Self::parse(name, &shown, &text)?;
        // What is shown may not be the path itself, where that is no text.
        path.parent().unwrap_or(Path::new("")).clone_into(&mut place.commands.folder);
        Ok(place)
    }

    /// Reads the text of a file; errors name it by its path.
    ///
    /// # Errors
    ///
    /// When it is no description.
    pub fn parse(name: &str, path: &str, text: &str) -> Result<Self, ExportError> {
        let wrong = |field: String, problem: &str, at: usize| {
            let (line, column) = position(text, at);
            let problem = problem.trim().replace('\n', ", ");
            ExportError::Text { path: path.to_owned(), field, problem, line, column }
        };
        let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        let document = toml::Deserializer::parse(text)
            .map_err(|error| wrong(String::new(), error.message(), start(&error)))?;
        let file: Described = serde_path_to_error::deserialize(document).map_err(|error| {
            let field = error.path().to_string();
            let field = if field == "." { String::new() } else { field };
            wrong(field, error.inner().message(), start(error.inner()))
        })?;
        let parts = file.parts.into_iter().map(DescribedPart::into).collect();
        let commands = file.hooks.with(file.power, Path::new(path).parent().unwrap_or(Path::new("")));
        Ok(Self { name: name.to_owned(), port: file.port.0.get(), parts, commands })
    }

    /// The USB ports of its devices.
    pub fn usb(&self) -> Vec<BusId> {
        let interfaces = self.parts.iter().flat_map(|part| part.usb.values());
        interfaces.filter_map(|interface| interface.usbid.parse().ok()).collect()
    }

    /// As a hub is told of it.
    pub fn to_json(&self) -> Value {
        let parts: Vec<Part> = self.parts.iter().map(Part::as_upstream).collect();
        json!({ "name": self.name, "port": self.port, "parts": parts })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    port: Port,
    parts: Vec<DescribedPart>,
    #[serde(default)]
    hooks: DescribedHooks,
    power: Option<DescribedPower>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedPart {
    compatible: Vec<String>,
    #[serde(default)]
    usb: BTreeMap<String, DescribedUsb>,
    #[serde(default)]
    tcp: BTreeMap<String, DescribedTcp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedUsb {
    usbid: Usbid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedTcp {
    host: Host,
    port: Port,
    #[serde(default)]
    web_terminal: bool,
}

struct Port(NonZeroU16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
        port.map(Self).ok_or_else(|| {
            de::Error::invalid_value(de::Unexpected::Signed(number), &"a port from 1 to 65535")
        })
    }
}

struct Host(String);

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // It stands in the first line of a request, between spaces.
        if text.is_empty() || text.len() > LONGEST_HOST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a host's name or address, without spaces",
            ));
        }
        Ok(Self(text))
    }
}

struct Usbid(BusId);

impl<'de> Deserialize<'de> for Usbid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

impl From<DescribedPart> for Part {
    fn from(part: DescribedPart) -> Self {
        let usb = part.usb.into_iter();
        let tcp = part.tcp.into_iter();
        Self {
            compatible: part.compatible,
            usb: usb
                .map(|(name, usb)| (name, UsbInterface { usbid: usb.usbid.0.as_str().to_owned() }))
                .collect(),
            tcp: tcp
                .map(|(name, tcp)| {
                    let port = u64::from(tcp.port.0.get());
                    (name, TcpInterface { host: tcp.host.0, port, web_terminal: tcp.web_terminal })
                })
                .collect(),
        }
    }
}

/// The line and the column of a byte of a text, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCH: &str = r#"
        port = 2192
        [[parts]]
        compatible = ["demo", "v2"]
        usb.jtag = { usbid = "1-4.2" }
        tcp.http = { host = "127.0.0.1", port = 8080, web_terminal = true }
        [[parts]]
        compatible = []
    "#;

    fn told(text: &str) -> String {
        ExportDescription::parse("bench", "bench.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_place_is_read_and_told_as_not_my_boards_exporter_tells_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.bench.toml");
        std::fs::write(&path, BENCH).unwrap();
        let place = ExportDescription::read(&path).unwrap();
        assert_eq!(place.usb(), ["1-4.2".parse().unwrap()]);
        assert!(place.parts[0].tcp["http"].web_terminal);
        assert_eq!(
            place.to_json(),
            json!({ "name": "my.bench", "port": 2192, "parts": [
                {
                    "compatible": ["demo", "v2"],
                    "usb": { "jtag": { "usbid": "1-4.2" } },
                    "tcp": { "http": { "host": "127.0.0.1", "port": 8080 } },
                },
                { "compatible": [], "usb": {}, "tcp": {} },
            ] })
        );
    }

    #[test]
    fn commands_are_read_and_stay_here() {
        let text = format!(
            "{BENCH}\n[hooks]\nbefore = \"./flash known.img\"\nafter = \"./wipe\"\ntime_limit = \"5m\"\n\
             [power]\non = \"relay on\"\noff = \"relay off\"\noff_after = true\n"
        );
        let place = ExportDescription::parse("bench", "/places/bench.toml", &text).unwrap();
        let commands = &place.commands;
        assert_eq!(
            (commands.before.as_deref(), commands.after.as_deref()),
            (Some("./flash known.img"), Some("./wipe"))
        );
        assert_eq!((commands.folder.as_path(), commands.hook_limit.as_secs()), (Path::new("/places"), 300));
        let power = commands.power.as_ref().unwrap();
        assert_eq!((power.on.as_str(), power.cycle.as_ref(), power.off_after), ("relay on", None, true));
        assert_eq!(place.to_json().as_object().unwrap().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let part = |text: &str| told(&format!("port = 1\n[[parts]]\ncompatible = []\n{text}"));
        let told = [
            told(""),
            told("port = 70000\nparts = []"),
            told("port = \"x\"\nparts = []"),
            told("port = 1"),
            told("port = 1\nport = 2"),
            told("port = 1\nparts = []\nspeed = 3"),
            part("tcp.http = { host = \"a b\", port = 1 }"),
            part("tcp.http = { host = \"a\", port = 0 }"),
            part("tcp.http = { host = \"a\" }"),
            part("usb.jtag = { usbid = \"../1\" }"),
            part("usb.jtag = { usbid = \"1-1\", port = 1 }"),
            part("[hooks]\nbefore = \" \""),
            part("[hooks]\ntime_limit = \"2h\""),
            part("[hooks]\nduring = \"true\""),
            part("[power]\non = \"true\""),
        ];
        for (told, expected) in told.iter().zip([
            "bench.toml, line 1, column 1: missing field `port`",
            "bench.toml, line 1, column 8: `port`: invalid value: integer `70000`, expected a port from 1 to 65535",
            "bench.toml, line 1, column 8: `port`: invalid type: string \"x\", expected i64",
            "bench.toml, line 1, column 1: missing field `parts`",
            "bench.toml, line 2, column 1: duplicate key",
            "bench.toml, line 3, column 1: `speed`: unknown field `speed`, expected one of `port`, `parts`, `hooks`, `power`",
            "bench.toml, line 4, column 21: `parts[0].tcp.http.host`: invalid value: string \"a b\", expected a host's name or address, without spaces",
            "bench.toml, line 4, column 33: `parts[0].tcp.http.port`: invalid value: integer `0`, expected a port from 1 to 65535",
            "bench.toml, line 4, column 12: `parts[0].tcp.http`: missing field `port`",
            "bench.toml, line 4, column 22: `parts[0].usb.jtag.usbid`: \"../1\" is no USB port; one is written like `1-4.2`: bus, dash, and the ports from hub to hub",
            "bench.toml, line 4, column 29: `parts[0].usb.jtag.port`: unknown field `port`, expected `usbid`",
            "bench.toml, line 5, column 10: `hooks.before`: invalid value: string \" \", expected a command for the shell, of at most 64 KiB",
            "bench.toml, line 5, column 14: `hooks.time_limit`: invalid value: string \"2h\", expected a length of time from 1s to 1h, as in 90s or 5m",
            "bench.toml, line 5, column 1: `hooks.during`: unknown field `during`, expected one of `before`, `after`, `time_limit`",
            "bench.toml, line 4, column 1: `power`: missing field `off`",
        ]) {
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.toml");
        let fails = |text: &str| {
            std::fs::write(&path, text).unwrap();
            ExportDescription::read(&path).unwrap_err()
        };
        assert!(matches!(fails(&"#".repeat(300 << 10)), ExportError::TooLarge { .. }));
        let size = usize::try_from(LARGEST).unwrap() - 100;
        for deep in ["[", "a.", "{a=", "[[parts]]\n", "[[a]]\n[[a.a]]\n"] {
            fails(&format!("port = 1\nx = {}", deep.repeat(size / deep.len())));
            fails(&deep.repeat(size / deep.len()));
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(ExportDescription::read(&path), Err(ExportError::Unreadable { .. })));
        let zero = ExportDescription::read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(zero, ExportError::TooLarge { .. } | ExportError::Unreadable { .. }), "{zero}");
        let name = ExportDescription::read(&folder.path().join("a\tb.toml")).unwrap_err();
        assert!(matches!(name, ExportError::Name { .. }), "{name}");
    }
}
