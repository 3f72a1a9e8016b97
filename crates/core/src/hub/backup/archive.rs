//! The archive itself: a tar file with entries of bounded size under plain relative names.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path};

use nave_link::secret_file;

/// The largest entry, in bytes: blobs go in one piece.
const MAX_ENTRY: u64 = 64 << 30;

/// Writes an archive.
pub(super) struct Writer<W: Write>(tar::Builder<W>);

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self(tar::Builder::new(out))
    }

    pub(super) fn add(&mut self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        self.0.append_data(&mut header, name, content)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.0.into_inner()
    }
}

/// Unpacks an archive into a new folder. Names that lead out of it, and anything but plain files, are refused.
pub(super) fn unpack(input: impl Read, into: &Path) -> io::Result<()> {
    let refused = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    secret_file::create_private_dir(into).map_err(io::Error::other)?;
    let mut archive = tar::Archive::new(input);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || !entry.header().entry_type().is_file() || entry.size() > MAX_ENTRY {
            return Err(refused(format!("its entry {} is not one of a backup", name.display())));
        }
        let path = into.join(&name);
        if let Some(parent) = path.parent() {
            secret_file::create_private_dir(parent).map_err(io::Error::other)?;
        }
        let mode = entry.header().mode()? & 0o700 | 0o600;
        let open = entry.header().mode()? & 0o044;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode | open).open(&path)?;
        let size = entry.size();
        if io::copy(&mut entry, &mut file)? != size {
            return Err(refused(format!("its entry {} is cut off", name.display())));
        }
    }
    // Reading to the very end lets an encrypted archive prove that nothing was cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_cannot_write_outside_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o644);
        header.as_gnu_mut().unwrap().name[..9].copy_from_slice(b"../escape");
        header.set_cksum();
        builder.append(&header, b"evil".as_slice()).unwrap();
        let bytes = builder.into_inner().unwrap();
        assert!(unpack(bytes.as_slice(), &folder.path().join("in")).is_err());
        assert!(!folder.path().join("escape").exists());
    }
}
