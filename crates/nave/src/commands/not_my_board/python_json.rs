//! JSON as Python's programs print it: members in the order in which they came, everything beyond ASCII escaped, numbers
//! written as Python writes them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// Anything but texts, lists and maps, as it is written.
    Word(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

/// Reads a value.
pub fn parse(text: &str) -> serde_json::Result<Json> {
    serde_json::from_str(text)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Word("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Word(float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Json::Map(map))
    }
}

/// Python's `repr` of a float: the shortest digits, with an exponent of two digits or more below 1e-4 and from 1e16.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if (-4..16).contains(&exponent) => {
            let plain = value.to_string();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        Err(_) => scientific,
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            ' '..='~' => quoted.push(char),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

impl Json {
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// A value that is neither list nor map, as it is written.
    pub fn text(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => quoted(text),
            Self::List(_) | Self::Map(_) => self.pretty(),
        }
    }

    /// With two spaces for each level.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, first: bool, depth: usize| {
            out.push_str(if first { "\n" } else { ",\n" });
            out.push_str(&"  ".repeat(depth));
        };
        match self {
            Self::Word(_) | Self::Text(_) => out.push_str(&self.text()),
            Self::List(items) if items.is_empty() => out.push_str("[]"),
            Self::Map(members) if members.is_empty() => out.push_str("{}"),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    line(out, at == 0, depth + 1);
                    item.write(out, depth + 1);
                }
                line(out, true, depth);
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    line(out, at == 0, depth + 1);
                    out.push_str(&quoted(name));
                    out.push_str(": ");
                    value.write(out, depth + 1);
                }
                line(out, true, depth);
                out.push('}');
            }
        }
    }

    /// Every value that is neither list nor map, with the way to it: `parts[0].tcp.ssh.port`.
    pub fn flat(&self) -> Vec<(String, &Self)> {
        let mut flat = Vec::new();
        self.flatten(String::new(), &mut flat);
        flat
    }

    fn flatten<'a>(&'a self, path: String, flat: &mut Vec<(String, &'a Self)>) {
        match self {
            Self::Word(_) | Self::Text(_) => flat.push((path, self)),
            Self::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    item.flatten(format!("{path}[{at}]"), flat);
                }
            }
            Self::Map(members) => {
                for (name, value) in members {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    value.flatten(path, flat);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_python_prints_them() -> serde_json::Result<()> {
        let place = parse(r#"{"b":[{"x":"é😀\u0007\"","e":{}}],"a":{"z":1,"y":null,"l":[]}}"#)?;
        assert_eq!(
            place.pretty(),
            "{\n  \"b\": [\n    {\n      \"x\": \"\\u00e9\\ud83d\\ude00\\u0007\\\"\",\n      \"e\": {}\n    }\n  ],\n  \
             \"a\": {\n    \"z\": 1,\n    \"y\": null,\n    \"l\": []\n  }\n}"
        );
        let flat: Vec<String> =
            place.flat().iter().map(|(path, leaf)| format!("{path}={}", leaf.text())).collect();
        assert_eq!(flat, [r#"b[0].x="\u00e9\ud83d\ude00\u0007\"""#, "a.z=1", "a.y=null"]);
        Ok(())
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (0.25, "0.25"),
            (1.0, "1.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-2.5e300, "-2.5e+300"),
        ] {
            assert_eq!(float(value), expected);
        }
    }
}
