//! How a file is handed to a browser: what an agent made is shown, or saved, and never run.

use std::fmt::Write as _;

use axum::body::Body;
use axum::response::Response;
use http::header;
use nave_core::hub::error::{Error, Result};

use super::FileRow;

/// What browsers show without running anything in it.
const SHOWN: [(&str, &str); 6] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("bmp", "image/bmp"),
];
/// What is saved, and said to be what it is. HTML and SVG are not among it: for a browser they are bytes.
const SAVED: [(&str, &str); 9] = [
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("webm", "video/webm"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain; charset=utf-8"),
    ("json", "application/json"),
];

/// Whether a file with this name is shown in a page.
pub(in crate::hub) fn is_picture(filename: &str) -> bool {
    let ending = ending(filename);
    SHOWN.iter().any(|(shown, _)| *shown == ending)
}

fn ending(filename: &str) -> String {
    filename.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}

/// A file as an answer. Its own policy lets it load and run nothing, whatever it is taken for.
pub(in crate::hub) fn served(file: &FileRow, content: Vec<u8>) -> Result<Response> {
    let ending = ending(&file.filename);
    let among = |kinds: &[(&str, &'static str)]| {
        kinds.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
    };
    let (kind, way) = match (among(&SHOWN), among(&SAVED)) {
        (Some(kind), _) => (kind, "inline"),
        (None, Some(kind)) => (kind, "attachment"),
        (None, None) => ("application/octet-stream", "attachment"),
    };
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, content.len())
        .header(header::CONTENT_DISPOSITION, format!("{way}; {}", named(&file.filename)))
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'")
        .header("cross-origin-resource-policy", "same-origin")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(content))
        .map_err(Error::internal)
}

/// A name as the header has it: as ASCII for old programs, and as it is (RFC 6266, 5).
fn named(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || " -_.()".contains(letter);
    let plain: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let mut whole = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            whole.push(char::from(byte));
        } else {
            let _ = write!(whole, "%{byte:02X}");
        }
    }
    format!("filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(filename: &str) -> [String; 2] {
        let file = FileRow {
            id: 1,
            public_id: "abc".to_owned(),
            hash: String::new(),
            filename: filename.to_owned(),
            size: 2,
            uploaded_by: 1,
        };
        let response = served(&file, b"hi".to_vec()).unwrap();
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").contains("sandbox"));
        [header("content-type"), header("content-disposition")]
    }

    #[test]
    fn pictures_are_shown_and_everything_else_is_saved() {
        assert_eq!(
            answer("a b.PNG"),
            ["image/png", "inline; filename=\"a b.PNG\"; filename*=UTF-8''a%20b.PNG"]
        );
        for name in ["x.svg", "x.html", "x.xhtml", "x", "x.js", "x.png.htm"] {
            let [kind, way] = answer(name);
            assert_eq!(kind, "application/octet-stream", "{name}");
            assert!(way.starts_with("attachment; "), "{name}");
        }
        assert_eq!(answer("a.pdf")[0], "application/pdf");
        assert!(!is_picture("x.svg") && is_picture("x.Jpeg"));
        let [_, way] = answer("\u{202e}\"ä;.txt");
        assert_eq!(way, "attachment; filename=\"____.txt\"; filename*=UTF-8''%E2%80%AE%22%C3%A4%3B.txt");
    }
}
