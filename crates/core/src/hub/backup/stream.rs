//! The encrypted form of a backup: any bytes in, bytes out that only the passphrase opens. What the bytes mean is not
//! known here.
//!
//! Header: `NAVEBKUP`, version (1 byte, 1), argon2id's memory in KiB, passes and lanes (4 bytes each, big endian), salt
//! (16 bytes), nonce prefix (7 bytes), a check of the passphrase (16 bytes). Then chunks of up to 64 KiB, each
//! AES-256-GCM with its tag, after a 4-byte big endian length whose top bit marks the last one. This is the STREAM
//! construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", 2015): the nonce is prefix ‖ counter (4 bytes) ‖ last (1 byte), so that chunks cannot be
//! dropped, moved or added. The header is every chunk's associated data.

use std::fmt;
use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use nave_link::random::Random;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How an encrypted backup begins.
pub(super) const MAGIC: [u8; 8] = *b"NAVEBKUP";
const VERSION: u8 = 1;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const LAST: u32 = 1 << 31;
const HEADER: usize = 8 + 1 + 12 + 16 + 7 + 16;
/// Of the header, what the key is derived with; the check follows.
const BEFORE_CHECK: usize = HEADER - 16;

/// Why an encrypted backup cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It does not begin like one.
    #[error("this is not a backup of a hub")]
    NotABackup,
    /// A later form.
    #[error(
        "this backup has form {0}, which this version of Nave cannot read: use the version that wrote it, or a newer one"
    )]
    Newer(u8),
    /// It asks for absurd amounts of memory or time.
    #[error("this backup's header was changed: it asks for more memory or time than any backup needs")]
    Costly,
    /// Not the passphrase that it was written with.
    #[error("the passphrase is wrong (or the backup's header was changed)")]
    WrongPassphrase,
    /// It ends too early.
    #[error("the backup is cut off: its end is missing; copy it again")]
    Truncated,
    /// It is not what was written.
    #[error("the backup was changed or is damaged (near byte {0}): use another copy")]
    Damaged(u64),
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        Self::other(error)
    }
}

/// What deriving the key from the passphrase costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Memory in KiB.
    pub(super) memory: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl Cost {
    /// About half a second of one core, and memory that makes guessing on graphics cards dear.
    pub(super) const DEFAULT: Self = Self { memory: 64 * 1024, passes: 3, lanes: 1 };
    const MOST: Self = Self { memory: 1024 * 1024, passes: 64, lanes: 64 };
}

struct Cipher {
    key: LessSafeKey,
    header: [u8; HEADER],
    counter: u32,
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher(chunk {})", self.counter)
    }
}

impl Cipher {
    /// Derives key and check from passphrase and header.
    fn derive(passphrase: &SecretString, header: &[u8; HEADER]) -> Result<(Self, [u8; 16]), StreamError> {
        let number =
            |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes were taken"));
        let cost = Cost { memory: number(9), passes: number(13), lanes: number(17) };
        let Cost { memory, passes, lanes } = cost;
        if memory > Cost::MOST.memory || passes > Cost::MOST.passes || lanes > Cost::MOST.lanes {
            return Err(StreamError::Costly);
        }
        let mut derived = Zeroizing::new([0; 48]);
        let params = Params::new(memory, passes, lanes, Some(48)).map_err(|_| StreamError::Costly)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), &header[21..37], derived.as_mut())
            .map_err(|_| StreamError::Costly)?;
        let key = UnboundKey::new(&AES_256_GCM, &derived[..32]).expect("the key has 32 bytes");
        let check = derived[32..].try_into().expect("16 bytes are left");
        Ok((Self { key: LessSafeKey::new(key), header: *header, counter: 0 }, check))
    }

    fn nonce(&mut self, last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..7].copy_from_slice(&self.header[37..44]);
        nonce[7..11].copy_from_slice(&self.counter.to_be_bytes());
        nonce[11] = u8::from(last);
        self.counter =
            self.counter.checked_add(1).ok_or_else(|| io::Error::other("a backup ends at 256 TiB"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Encrypts what is written to it. Without [`Encryptor::finish`] the result cannot be opened.
#[derive(Debug)]
pub(super) struct Encryptor<W> {
    out: W,
    cipher: Cipher,
    chunk: Vec<u8>,
}

impl<W: Write> Encryptor<W> {
    pub(super) fn new(
        mut out: W,
        passphrase: &SecretString,
        cost: Cost,
        random: &Random,
    ) -> io::Result<Self> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8] = VERSION;
        header[9..13].copy_from_slice(&cost.memory.to_be_bytes());
        header[13..17].copy_from_slice(&cost.passes.to_be_bytes());
        header[17..21].copy_from_slice(&cost.lanes.to_be_bytes());
        random.fill(&mut header[21..44]);
        let (mut cipher, check) = Cipher::derive(passphrase, &header)?;
        header[BEFORE_CHECK..].copy_from_slice(&check);
        cipher.header = header;
        out.write_all(&header)?;
        Ok(Self { out, cipher, chunk: Vec::with_capacity(CHUNK + TAG) })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.cipher.nonce(last)?;
        self.cipher
            .key
            .seal_in_place_append_tag(nonce, Aad::from(self.cipher.header), &mut self.chunk)
            .map_err(|_| io::Error::other("a chunk could not be encrypted"))?;
        let length = u32::try_from(self.chunk.len()).expect("a chunk is small");
        self.out.write_all(&(length | if last { LAST } else { 0 }).to_be_bytes())?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for more: only the one before the end is the last.
        if self.chunk.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Decrypts what it reads; gives nothing that was not authenticated.
#[derive(Debug)]
pub(super) struct Decryptor<R> {
    input: R,
    cipher: Cipher,
    chunk: Vec<u8>,
    at: usize,
    last: bool,
    position: u64,
}

impl<R: Read> Decryptor<R> {
    /// Reads the rest of the header; the magic was read already.
    pub(super) fn new(mut input: R, passphrase: &SecretString) -> Result<Self, io::Error> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        exactly(&mut input, &mut header[8..9])?;
        if header[8] != VERSION {
            return Err(StreamError::Newer(header[8]).into());
        }
        exactly(&mut input, &mut header[9..])?;
        let (cipher, check) = Cipher::derive(passphrase, &header)?;
        if !bool::from(check.ct_eq(&header[BEFORE_CHECK..])) {
            return Err(StreamError::WrongPassphrase.into());
        }
        let position = HEADER as u64;
        Ok(Self { input, cipher, chunk: Vec::new(), at: 0, last: false, position })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut prefix = [0; 4];
        exactly(&mut self.input, &mut prefix)?;
        let prefix = u32::from_be_bytes(prefix);
        let length = (prefix & !LAST) as usize;
        self.last = prefix & LAST != 0;
        let damaged = StreamError::Damaged(self.position);
        let allowed = if self.last { TAG } else { CHUNK + TAG }..=CHUNK + TAG;
        if !allowed.contains(&length) {
            return Err(damaged.into());
        }
        self.chunk.resize(length, 0);
        exactly(&mut self.input, &mut self.chunk)?;
        let nonce = self.cipher.nonce(self.last)?;
        let aad = Aad::from(self.cipher.header);
        let plain = self.cipher.key.open_in_place(nonce, aad, &mut self.chunk).map_err(|_| damaged)?.len();
        self.chunk.truncate(plain);
        self.at = 0;
        self.position += 4 + length as u64;
        if self.last && self.input.read(&mut [0])? != 0 {
            return Err(StreamError::Damaged(self.position).into());
        }
        Ok(())
    }
}

impl<R: Read> Read for Decryptor<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.last {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let given = out.len().min(self.chunk.len() - self.at);
        out[..given].copy_from_slice(&self.chunk[self.at..self.at + given]);
        self.at += given;
        Ok(given)
    }
}

/// Fills the buffer, or says that the end is missing.
fn exactly(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StreamError::Truncated.into(),
        _ => error,
    })
}

#[cfg(test)]
mod tests;
