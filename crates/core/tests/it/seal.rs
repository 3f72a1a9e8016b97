//! Sealing over a real database: values survive rotations and restarts, and a crash at any moment of a rotation.

use std::fs;
use std::path::PathBuf;

use nave_core::hub::op::{Actor, Op};
use nave_core::hub::seal::{MasterFile, SealError, Sealer};
use nave_core::hub::store::Store;
use nave_link::random::Random;
use secrecy::ExposeSecret as _;

use crate::bench::{Bench, on_both_engines};

on_both_engines!(
    a_sealed_value_survives_restarts_and_rotations,
    a_crash_in_a_rotation_leaves_a_state_that_opens,
    a_lost_or_foreign_master_key_is_refused_by_name,
    two_hubs_read_each_others_values,
);

const WHAT: &str = "users/seed/1";

fn file(bench: &Bench) -> MasterFile {
    MasterFile::find(bench.folder.path(), None)
}

fn path(bench: &Bench) -> PathBuf {
    bench.folder.path().join("master.key")
}

async fn open(bench: &Bench, store: &Store) -> Result<Sealer, SealError> {
    Sealer::open(store, file(bench), &Random::system(), &bench.clock).await
}

async fn assert_opens(sealer: &Sealer, envelope: &str) {
    assert_eq!(sealer.unseal(WHAT, envelope).await.unwrap().expose_secret(), b"secret");
}

async fn a_sealed_value_survives_restarts_and_rotations(bench: Bench) {
    let store = bench.open().await;
    let sealer = open(&bench, &store).await.unwrap();
    let envelope = sealer.seal(WHAT, b"secret");
    assert!(!envelope.contains("secret"));
    assert_opens(&sealer, &envelope).await;
    let before = fs::read_to_string(path(&bench)).unwrap();

    sealer.rotate_master(&bench.op(), &bench.bus).await.unwrap();
    let after = fs::read_to_string(path(&bench)).unwrap();
    assert_ne!(before, after);
    assert_eq!(after.lines().count(), 1, "the old key is gone");
    assert_opens(&sealer, &envelope).await;
    assert_opens(&open(&bench, &store).await.unwrap(), &envelope).await;

    let stranger = Op { actor: Actor::Anonymous, ..bench.op() };
    assert!(sealer.rotate_master(&stranger, &bench.bus).await.is_err());
    assert!(matches!(sealer.unseal("users/seed/2", &envelope).await, Err(SealError::Damaged { .. })));
    for text in ["", "s1", "s1.none.AAAA", "s2.x.y", &envelope[..envelope.len() - 2]] {
        assert!(matches!(sealer.unseal(WHAT, text).await, Err(SealError::Damaged { .. })), "{text}");
    }
}

async fn a_crash_in_a_rotation_leaves_a_state_that_opens(bench: Bench) {
    let store = bench.open().await;
    let sealer = open(&bench, &store).await.unwrap();
    let envelope = sealer.seal(WHAT, b"secret");
    let old = fs::read_to_string(path(&bench)).unwrap();

    // Before the rewrap: the new key is in the file, the data keys are still under the old one.
    let new = format!("{}\n", "A".repeat(43));
    fs::write(path(&bench), format!("{new}{old}")).unwrap();
    assert_opens(&open(&bench, &store).await.unwrap(), &envelope).await;
    assert_eq!(fs::read_to_string(path(&bench)).unwrap(), new, "the rotation was finished");

    // After the rewrap, before the old key was taken out of the file.
    fs::write(path(&bench), format!("{new}{old}")).unwrap();
    assert_opens(&open(&bench, &store).await.unwrap(), &envelope).await;
    assert_eq!(fs::read_to_string(path(&bench)).unwrap(), new);
}

async fn a_lost_or_foreign_master_key_is_refused_by_name(bench: Bench) {
    let store = bench.open().await;
    open(&bench, &store).await.unwrap();
    let own = fs::read_to_string(path(&bench)).unwrap();
    fs::remove_file(path(&bench)).unwrap();
    let error = open(&bench, &store).await.err().unwrap();
    assert!(matches!(error, SealError::Missing { .. }), "{error}");
    assert!(!path(&bench).exists(), "no other key was made in its place");

    write_private(&bench, &"E".repeat(43));
    let error = open(&bench, &store).await.err().unwrap();
    assert!(matches!(error, SealError::Wrong { .. }), "{error}");
    write_private(&bench, "not a key");
    let error = open(&bench, &store).await.err().unwrap();
    assert!(matches!(error, SealError::Format { line: 1, .. }), "{error}");
    assert!(error.to_string().contains("master.key") && !error.to_string().contains("not a key"), "{error}");

    write_private(&bench, &own);
    open(&bench, &store).await.unwrap();
}

fn write_private(bench: &Bench, text: &str) {
    nave_link::secret_file::replace(&path(bench), text.as_bytes(), 0o600).unwrap();
}

async fn two_hubs_read_each_others_values(bench: Bench) {
    let store = bench.open().await;
    let first = open(&bench, &store).await.unwrap();
    let second = open(&bench, &store).await.unwrap();
    assert_opens(&second, &first.seal(WHAT, b"secret")).await;
    assert_opens(&first, &second.seal(WHAT, b"secret")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_read_where_it_lies_and_not_replaced() {
    let bench = Bench::sqlite();
    let store = bench.open().await;
    let credentials = tempfile::tempdir().unwrap();
    let place = credentials.path().join("master.key");
    fs::write(&place, format!("{}\n", "I".repeat(43))).unwrap();
    let open = || async {
        let file = MasterFile::find(bench.folder.path(), Some(credentials.path()));
        Sealer::open(&store, file, &Random::system(), &bench.clock).await.unwrap()
    };
    let sealer = open().await;
    assert!(!path(&bench).exists());
    let envelope = sealer.seal(WHAT, b"secret");
    let error = sealer.rotate_master(&bench.op(), &bench.bus).await.unwrap_err();
    assert_eq!(error.code(), "conflict");

    // The way that the error names: a new key above the old one, a restart, then the old one can go.
    fs::write(&place, format!("{}\n{}\n", "M".repeat(43), "I".repeat(43))).unwrap();
    assert_opens(&open().await, &envelope).await;
    fs::write(&place, format!("{}\n", "M".repeat(43))).unwrap();
    assert_opens(&open().await, &envelope).await;
}
