//! A backup's encryption: argon2id makes the key from a passphrase; AES-256-GCM seals chunks of 64 KiB, each under a
//! counting nonce that also says which chunk is the last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
//! Vizár), so that chunks cannot be changed, moved or left out. Without a passphrase the bytes pass as they are.
//!
//! ```text
//! "NAVE-BACKUP-1\n" · salt 16 · memory KiB u32 · passes u32 · nonce prefix 7 · chunks
//! ```

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use nave_link::random::Random;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

const MAGIC: &[u8; 14] = b"NAVE-BACKUP-1\n";
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
/// OWASP's second recommendation for argon2id, with more memory: a backup is opened rarely.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// More than this is not believed: a forged header must not take the machine's memory.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 32;

/// Why a backup cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// It is encrypted, and no passphrase was given.
    #[error("it is encrypted: give its passphrase")]
    NeedsPassphrase,
    /// The passphrase is wrong, or its very beginning was changed.
    #[error("the passphrase is wrong (or the file's beginning was changed); nothing was changed here")]
    WrongPassphrase,
    /// It was changed or cut off.
    #[error("it was changed or cut off after it was made: use another copy; nothing was changed here")]
    Tampered,
    /// Its header asks for what no backup asks for.
    #[error("its header is damaged: use another copy")]
    Header,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(String),
}

/// The error inside one of reading.
pub(super) fn error_of(error: &io::Error) -> Option<CipherError> {
    error.get_ref()?.downcast_ref::<CipherError>().cloned()
}

struct Chunks {
    key: LessSafeKey,
    prefix: [u8; 7],
    number: u32,
}

impl Chunks {
    fn new(
        passphrase: &SecretString,
        salt: &[u8],
        memory: u32,
        passes: u32,
        prefix: [u8; 7],
    ) -> Option<Self> {
        let params = Params::new(memory, passes, 1, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), salt, key.as_mut())
            .ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?);
        Some(Self { key, prefix, number: 0 })
    }

    fn nonce(&mut self, last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..7].copy_from_slice(&self.prefix);
        nonce[7..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number =
            self.number.checked_add(1).ok_or_else(|| io::Error::other("a backup of more than 256 TiB"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// What a backup is written to.
pub(super) struct Out<W> {
    inner: W,
    cipher: Option<(Chunks, Vec<u8>)>,
}

impl<W: Write> Out<W> {
    pub(super) fn plain(inner: W) -> Self {
        Self { inner, cipher: None }
    }

    pub(super) fn encrypted(mut inner: W, passphrase: &SecretString, random: &Random) -> io::Result<Self> {
        let (salt, prefix) = (random.bytes::<16>(), random.bytes::<7>());
        let chunks = Chunks::new(passphrase, &salt, MEMORY_KIB, PASSES, prefix)
            .ok_or_else(|| io::Error::other("the key cannot be made from the passphrase"))?;
        inner.write_all(MAGIC)?;
        inner.write_all(&salt)?;
        inner.write_all(&MEMORY_KIB.to_be_bytes())?;
        inner.write_all(&PASSES.to_be_bytes())?;
        inner.write_all(&prefix)?;
        Ok(Self { inner, cipher: Some((chunks, Vec::with_capacity(CHUNK + TAG))) })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if let Some((chunks, buffer)) = &mut self.cipher {
            seal(&mut self.inner, chunks, buffer, true)?;
        }
        Ok(self.inner)
    }
}

fn seal(out: &mut impl Write, chunks: &mut Chunks, buffer: &mut Vec<u8>, last: bool) -> io::Result<()> {
    let nonce = chunks.nonce(last)?;
    chunks
        .key
        .seal_in_place_append_tag(nonce, Aad::empty(), buffer)
        .map_err(|_| io::Error::other("a chunk cannot be sealed"))?;
    out.write_all(buffer)?;
    buffer.clear();
    Ok(())
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((chunks, buffer)) = &mut self.cipher else { return self.inner.write(bytes) };
        // A full chunk is sealed only when more follows: the last one must be known as such.
        if buffer.len() == CHUNK {
            seal(&mut self.inner, chunks, buffer, false)?;
        }
        let taken = bytes.len().min(CHUNK - buffer.len());
        buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What a backup is read from.
pub(super) struct In<R> {
    inner: R,
    start: io::Cursor<Vec<u8>>,
    cipher: Option<Chunks>,
    opened: io::Cursor<Vec<u8>>,
    /// One chunk ahead, so that the last is known.
    ahead: Vec<u8>,
    done: bool,
}

impl<R: Read> In<R> {
    pub(super) fn open(mut inner: R, passphrase: Option<&SecretString>) -> Result<Self, CipherError> {
        let failed = |error: io::Error| CipherError::Io(error.to_string());
        let mut start = Vec::new();
        inner.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
        let mut input = Self {
            inner,
            start: io::Cursor::new(Vec::new()),
            cipher: None,
            opened: io::Cursor::default(),
            ahead: Vec::new(),
            done: false,
        };
        if start != MAGIC {
            input.start = io::Cursor::new(start);
            return Ok(input);
        }
        let passphrase = passphrase.ok_or(CipherError::NeedsPassphrase)?;
        let mut header = [0; 31];
        input.inner.read_exact(&mut header).map_err(|_| CipherError::Tampered)?;
        let number = |from: usize| {
            u32::from_be_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]])
        };
        let (memory, passes) = (number(16), number(20));
        if memory > MAX_MEMORY_KIB || passes > MAX_PASSES {
            return Err(CipherError::Header);
        }
        let prefix: [u8; 7] = header[24..].try_into().map_err(|_| CipherError::Header)?;
        input.cipher =
            Some(Chunks::new(passphrase, &header[..16], memory, passes, prefix).ok_or(CipherError::Header)?);
        input.ahead = input.next_chunk().map_err(failed)?;
        input.advance().map_err(|_| CipherError::WrongPassphrase)?;
        Ok(input)
    }

    fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::new();
        self.inner.by_ref().take((CHUNK + TAG) as u64).read_to_end(&mut chunk)?;
        Ok(chunk)
    }

    fn advance(&mut self) -> io::Result<()> {
        let tampered = || io::Error::new(io::ErrorKind::InvalidData, CipherError::Tampered);
        let next = self.next_chunk()?;
        let mut chunk = std::mem::replace(&mut self.ahead, next);
        let last = self.ahead.is_empty();
        let cipher = self.cipher.as_mut().ok_or_else(tampered)?;
        let nonce = cipher.nonce(last)?;
        let length = cipher.key.open_in_place(nonce, Aad::empty(), &mut chunk).map_err(|_| tampered())?.len();
        chunk.truncate(length);
        self.opened = io::Cursor::new(chunk);
        self.done = last;
        Ok(())
    }
}

impl<R: Read> Read for In<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.cipher.is_none() {
            let read = self.start.read(out)?;
            return if read > 0 { Ok(read) } else { self.inner.read(out) };
        }
        loop {
            let read = self.opened.read(out)?;
            if read > 0 || self.done || out.is_empty() {
                return Ok(read);
            }
            self.advance()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut out = Out::encrypted(Vec::new(), &passphrase("right"), &Random::seeded(1)).unwrap();
        out.write_all(content).unwrap();
        out.finish().unwrap()
    }

    fn open(bytes: &[u8], text: &str) -> Result<Vec<u8>, CipherError> {
        let mut input = In::open(bytes, Some(&passphrase(text)))?;
        let mut content = Vec::new();
        input.read_to_end(&mut content).map_err(|error| error_of(&error).unwrap())?;
        Ok(content)
    }

    #[test]
    fn content_of_any_length_survives() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let content = vec![7; length];
            assert_eq!(open(&sealed(&content), "right").as_deref(), Ok(content.as_slice()), "{length}");
        }
    }

    #[test]
    fn every_change_is_noticed() {
        let bytes = sealed(&vec![7; 2 * CHUNK + 9]);
        let header = MAGIC.len() + 31;
        assert_eq!(open(&bytes, "wrong"), Err(CipherError::WrongPassphrase));
        let mut changed = bytes.clone();
        changed[header + CHUNK + TAG + 5] ^= 1;
        assert_eq!(open(&changed, "right"), Err(CipherError::Tampered));
        assert_eq!(open(&bytes[..bytes.len() - 1], "right"), Err(CipherError::Tampered));
        assert_eq!(
            open(&bytes[..header + 2 * (CHUNK + TAG)], "right"),
            Err(CipherError::Tampered),
            "a chunk is missing"
        );
        let swapped = [&bytes[..header], &bytes[header + CHUNK + TAG..header + 2 * (CHUNK + TAG)]].concat();
        assert!(open(&swapped, "right").is_err());
        assert_eq!(In::open(bytes.as_slice(), None).err(), Some(CipherError::NeedsPassphrase));
        let mut greedy = bytes;
        greedy[MAGIC.len() + 16] = 0xff;
        assert_eq!(open(&greedy, "right"), Err(CipherError::Header));
    }
}
