//! The archive: what was put in comes out, and nothing goes where it must not.

use std::os::unix::fs::MetadataExt as _;

use time::OffsetDateTime;

use super::*;
use crate::hub::backup::manifest::{FORMAT, Table};

fn manifest() -> Manifest {
    Manifest {
        bulk: None,
        format: FORMAT,
        created_at: OffsetDateTime::UNIX_EPOCH,
        hub_version: "0".to_owned(),
        files: true,
        schema: Vec::new(),
        tables: vec![Table { name: "nodes".to_owned(), rows: 1, last_number: None }],
    }
}

fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = ArchiveWriter::new(Vec::new(), &manifest()).unwrap();
    for (name, mode, content) in entries {
        archive.entry(name, *mode, content.len() as u64, *content).unwrap();
    }
    archive.finish().unwrap()
}

const ROWS: (&str, u32, &[u8]) = ("tables/nodes.jsonl", 0o600, b"{}\n");

/// An archive whose third entry has any name and kind, which the writer would refuse.
fn forged(name: &[u8], kind: EntryType) -> Vec<u8> {
    let mut sound = archive(&[ROWS, ("files/hub.key", 0o600, b"key")]);
    let at = sound.windows(13).position(|window| window == b"files/hub.key").unwrap();
    let header = &mut sound[at..at + 512];
    header[..100].fill(0);
    header[..name.len()].copy_from_slice(name);
    header[156] = kind.as_byte();
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    sound
}

fn read(archive: &[u8]) -> Result<tempfile::TempDir, BackupError> {
    let folder = tempfile::tempdir().unwrap();
    unpack(archive, folder.path()).map(|_| folder)
}

#[test]
fn files_come_back_with_their_modes() {
    let sound =
        archive(&[ROWS, ("files/hub.key", 0o600, b"key"), ("files/cert/hub-cert.pem", 0o644, b"cert")]);
    let folder = read(&sound).unwrap();
    let file = |name| {
        let path = folder.path().join("files").join(name);
        (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().mode() & 0o777)
    };
    assert_eq!(file("hub.key"), (b"key".to_vec(), 0o600));
    assert_eq!(file("cert/hub-cert.pem"), (b"cert".to_vec(), 0o644));
}

#[test]
fn nothing_goes_where_it_must_not() {
    for name in [
        "files/../outside",
        "files/cert/../../outside",
        "/etc/passwd",
        "files//etc/passwd",
        "files/./hub.key",
        "files/",
        "files/other",
        "files/hub.sqlite",
        "files/cert/a/b/c/d/e/f/g/h/i",
        "tables/../files/hub.key.jsonl",
        "tables/unlisted.jsonl",
        "elsewhere",
        "",
    ] {
        let error = read(&forged(name.as_bytes(), EntryType::Regular)).unwrap_err();
        assert!(matches!(error, BackupError::Content { .. }), "{name}: {error}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::GNULongName] {
        let error = read(&forged(b"files/hub.key", kind)).unwrap_err();
        assert!(matches!(error, BackupError::Content { .. }), "{kind:?}: {error}");
    }
    assert!(read(&forged(b"files/hub.key\xff", EntryType::Regular)).is_err());
    assert!(read(&forged(b"files/hub.key", EntryType::Regular)).is_ok(), "the forger itself is sound");
}

#[test]
fn a_mode_gives_no_rights_that_a_hub_needs_not() {
    let folder = read(&archive(&[ROWS, ("files/hub.key", 0o6777, b"key")])).unwrap();
    let mode = std::fs::metadata(folder.path().join("files/hub.key")).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o755);
}

#[test]
fn a_plain_archive_that_was_cut_or_changed_is_found_out() {
    let sound = archive(&[ROWS, ("files/hub.key", 0o600, b"the key of a hub")]);
    for at in (0..sound.len() - 1024).step_by(100) {
        assert!(read(&sound[..at]).is_err(), "cut at {at}");
    }
    let mut changed = sound.clone();
    let at = sound.windows(7).position(|window| window == b"the key").unwrap();
    changed[at] ^= 1;
    let error = read(&changed).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    assert!(matches!(read(b"something else"), Err(BackupError::Stream(_))));
    assert!(matches!(read(&[0; 4096]), Err(BackupError::Stream(_))));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_ends_the_backup() {
    let mut archive = ArchiveWriter::new(Vec::new(), &manifest()).unwrap();
    assert!(archive.entry("files/hub.key", 0o600, 10, &b"short"[..]).is_err());
}
