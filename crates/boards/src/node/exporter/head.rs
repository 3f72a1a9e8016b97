//! The head of a request to an exporter: read as h11 reads it, which not-my-board's exporter uses, and refused in its
//! words.

use super::answer::Refusal;

/// The longest head, in bytes.
const LONGEST: usize = 16 << 10;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    /// How many bytes it had; what follows is no part of it.
    pub(super) length: usize,
}

impl Head {
    /// Reads what came so far; `None` as long as the end is missing.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        if bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n") {
            return Err(Refusal::bad_request("no request line received"));
        }
        let Some(length) = end(bytes) else {
            // TLS begins so, for one.
            return match bytes.first() {
                Some(first) if *first < 0x21 => Err(Refusal::bad_request("illegal request line")),
                _ if bytes.len() > LONGEST => Err(Refusal::too_long()),
                _ => Ok(None),
            };
        };
        let mut lines = bytes[..length].split(|byte| *byte == b'\n').map(without_return);
        let first = lines.next().unwrap_or_default();
        let (method, target, version) = request_line(first)
            .ok_or_else(|| Refusal::bad_request(format!("illegal request line: {}", shown(first))))?;
        let hosts = hosts(lines)?;
        if version == "1.1" && hosts == 0 {
            return Err(Refusal::bad_request("Missing mandatory Host: header"));
        }
        if hosts > 1 {
            return Err(Refusal::bad_request("Found multiple Host: headers"));
        }
        Ok(Some(Self { method, target, length }))
    }
}

/// The length of a head with the empty line that ends it.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    newlines.find_map(|at| match bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Method, target and version.
fn request_line(line: &[u8]) -> Option<(String, String, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (method, target, protocol) = (words.next()?, words.next()?, words.next()?);
    let version = protocol.strip_prefix("HTTP/")?;
    let is_version = matches!(version.as_bytes(), [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit());
    let is_target = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = words.next().is_none() && is_token(method.as_bytes()) && is_target && is_version;
    fits.then(|| (method.to_owned(), target.to_owned(), version))
}

/// A name (RFC 9110, section 5.6.2).
fn is_token(word: &[u8]) -> bool {
    !word.is_empty()
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-!#$%&'*+.^_`|~".contains(byte))
}

/// How many of the headers are called `Host`.
fn hosts<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<usize, Refusal> {
    let (mut hosts, mut header) = (0, Vec::new());
    let mut take = |header: &[u8]| {
        if header.is_empty() {
            return Ok(());
        }
        let illegal = || Refusal::bad_request(format!("illegal header line: {}", shown(header)));
        let colon = header.iter().position(|byte| *byte == b':').ok_or_else(illegal)?;
        let (name, value) = (&header[..colon], &header[colon + 1..]);
        let strange = |byte: &u8| matches!(byte, 0 | b'\r' | 0x0b | 0x0c);
        if !is_token(name) || value.iter().any(strange) {
            return Err(illegal());
        }
        hosts += usize::from(name.eq_ignore_ascii_case(b"host"));
        Ok(())
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        // A header of more than one line, as it once was allowed.
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if header.is_empty() {
                return Err(Refusal::bad_request("continuation line at start of headers"));
            }
            header.push(b' ');
            header.extend_from_slice(line.trim_ascii_start());
        } else {
            take(&header)?;
            header = line.to_vec();
        }
    }
    take(&header)?;
    Ok(hosts)
}

/// Bytes as Python shows them.
fn shown(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut out = format!("bytearray(b{quote}");
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            _ if char::from(*byte) == quote => out.extend(['\\', quote]),
            0x20..0x7f => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.extend([quote, ')']);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> String {
        Head::parse(text.as_bytes()).unwrap_err().text
    }

    #[test]
    fn a_request_is_read_to_its_end() {
        let text = "CONNECT far:1 HTTP/1.1\r\nHost: far:1\r\n\r\nbytes";
        let head = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("CONNECT", "far:1"));
        assert_eq!(&text[head.length..], "bytes");
        for end in 0..text.len() - "bytes".len() {
            assert_eq!(Head::parse(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        let folded = "GET / HTTP/1.1\nHost:\n a\n\n";
        assert_eq!(Head::parse(folded.as_bytes()).unwrap().unwrap().length, folded.len());
        assert!(Head::parse(b"CONNECT a:1 HTTP/1.0\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn what_is_none_is_told_in_h11s_words() {
        assert_eq!(refused("\r\n"), "no request line received");
        assert_eq!(refused("\u{16}\u{3}\u{1}"), "illegal request line");
        assert_eq!(refused("it's \"\\\r\n\r\n"), r#"illegal request line: bytearray(b'it\'s "\\')"#);
        assert_eq!(refused("it's\u{e9}\t\n\n"), r#"illegal request line: bytearray(b"it's\xc3\xa9\t")"#);
        assert_eq!(refused("GET  / HTTP/1.1\r\n\r\n"), "illegal request line: bytearray(b'GET  / HTTP/1.1')");
        assert_eq!(refused("GET / HTTP/1.1\r\n x\r\n\r\n"), "continuation line at start of headers");
        assert_eq!(refused("GET / HTTP/1.1\r\nHost\r\n\r\n"), "illegal header line: bytearray(b'Host')");
        assert_eq!(
            refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            "illegal header line: bytearray(b'Host : a')"
        );
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), "Found multiple Host: headers");
        assert_eq!(refused(&"a".repeat(LONGEST + 1)), "Receive buffer too long");
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_too_strange(bytes in prop::collection::vec(prop::sample::select(b"\r\n :\tGET/HTTP1.\0\xff".to_vec()), 0..60)) {
            if let Ok(Some(head)) = Head::parse(&bytes) {
                prop_assert!(head.length <= bytes.len());
            }
        }
    }
}
