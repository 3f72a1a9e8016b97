//! The encrypted form: whole and with the right passphrase it opens, and in no other way.

use proptest::prelude::*;

use super::*;

/// As cheap as argon2 allows: these tests are about the chunks.
const CHEAP: Cost = Cost { memory: 8, passes: 1, lanes: 1 };

fn encrypt(plain: &[u8]) -> Vec<u8> {
    let random = Random::seeded(1);
    let mut encryptor = Encryptor::new(Vec::new(), &"correct horse".into(), CHEAP, &random).unwrap();
    encryptor.write_all(plain).unwrap();
    encryptor.finish().unwrap()
}

fn decrypt(sealed: &[u8], passphrase: &str) -> Result<Vec<u8>, StreamError> {
    let read = || {
        let mut decryptor = Decryptor::new(sealed.get(8..).unwrap_or_default(), &passphrase.into())?;
        let mut plain = Vec::new();
        decryptor.read_to_end(&mut plain)?;
        Ok(plain)
    };
    read().map_err(|error: io::Error| *error.get_ref().unwrap().downcast_ref::<StreamError>().unwrap())
}

/// Where each chunk begins, and the end.
fn bounds(sealed: &[u8]) -> Vec<usize> {
    let mut bounds = vec![HEADER];
    while let Some(prefix) = sealed.get(bounds[bounds.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        bounds.push(bounds[bounds.len() - 1] + 4 + (u32::from_be_bytes(*prefix) & !LAST) as usize);
    }
    bounds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_length_comes_back(length in prop_oneof![0..3000_usize, CHUNK - 2..CHUNK + 3, 2 * CHUNK - 1..2 * CHUNK + 2]) {
        let plain: Vec<u8> = (0..length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        prop_assert_eq!(decrypt(&encrypt(&plain), "correct horse").unwrap(), plain);
    }

    #[test]
    fn a_changed_bit_is_always_found(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut sealed = encrypt(&vec![7; CHUNK + 100]);
        // Before byte 21 stand version and cost, which other tests change.
        let at = 21 + at.index(sealed.len() - 21);
        sealed[at] ^= 1_u8 << bit;
        prop_assert!(decrypt(&sealed, "correct horse").is_err());
    }

    #[test]
    fn a_cut_at_any_byte_is_called_a_cut(at in any::<prop::sample::Index>()) {
        let sealed = encrypt(&vec![7; CHUNK + 100]);
        let at = 8 + at.index(sealed.len() - 8);
        prop_assert_eq!(decrypt(&sealed[..at], "correct horse"), Err(StreamError::Truncated));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decrypt(&noise, "correct horse");
    }
}

#[test]
fn each_fault_has_its_own_error() {
    let sealed = encrypt(&vec![7; 2 * CHUNK + 100]);
    assert_eq!(decrypt(&sealed, "wrong horse"), Err(StreamError::WrongPassphrase));
    let mut newer = sealed.clone();
    newer[8] = 2;
    assert_eq!(decrypt(&newer, "correct horse"), Err(StreamError::Newer(2)));
    let mut greedy = sealed.clone();
    greedy[9] = 0xff;
    assert_eq!(decrypt(&greedy, "correct horse"), Err(StreamError::Costly));
    let mut longer = sealed.clone();
    longer.push(0);
    assert!(matches!(decrypt(&longer, "correct horse"), Err(StreamError::Damaged(_))));
}

#[test]
fn chunks_cannot_be_dropped_or_moved() {
    let sealed = encrypt(&(0..3 * CHUNK).map(|byte| u8::try_from(byte / CHUNK).unwrap()).collect::<Vec<_>>());
    let bounds = bounds(&sealed);
    assert_eq!(bounds.len(), 4, "three chunks");
    let part = |chunk: usize| &sealed[bounds[chunk]..bounds[chunk + 1]];
    let header = &sealed[..HEADER];
    for arrangement in [vec![1, 2], vec![0, 2], vec![1, 0, 2], vec![0, 0, 1, 2], vec![2]] {
        let mut forged = header.to_vec();
        for chunk in &arrangement {
            forged.extend_from_slice(part(*chunk));
        }
        assert!(matches!(decrypt(&forged, "correct horse"), Err(StreamError::Damaged(_))), "{arrangement:?}");
    }
    // Marking an earlier chunk as the last one does not make it so.
    let mut forged = [header, part(0)].concat();
    forged[HEADER] |= 0x80;
    assert!(matches!(decrypt(&forged, "correct horse"), Err(StreamError::Damaged(_))));
}

#[test]
fn two_backups_of_the_same_bytes_share_nothing() {
    let random = Random::seeded(9);
    let once = || {
        let mut encryptor = Encryptor::new(Vec::new(), &"p".into(), CHEAP, &random).unwrap();
        encryptor.write_all(b"the same").unwrap();
        encryptor.finish().unwrap()
    };
    let (first, second) = (once(), once());
    assert_ne!(first[HEADER..], second[HEADER..]);
}
