//! What the hub shows of itself, as other programs see it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nave_core::clock::Clock;
use nave_core::hub::config::{HubConfig, ListenerTable};
use nave_core::hub::identity::{self, KeyKind, ca};
use nave_core::hub::running::StartError;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::node::TestNode;

use crate::store::faults::Tiny;

const YEAR: Duration = Duration::from_hours(8760);

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn openssl_is_content_with_the_authority() -> anyhow::Result<()> {
    if !need("openssl") {
        return Ok(());
    }
    let (folder, now) = (tempfile::tempdir()?, Clock::system().now());
    let root = ca::init(folder.path(), ca::DEFAULT_DAYS, now)?;
    for host in ["hub.example.org", "192.0.2.1"] {
        let (certificate, key) = ca::issue(folder.path(), host, ca::DEFAULT_DAYS, false, now)?;
        let (good, words) =
            run("openssl", &["verify", "-x509_strict", "-CAfile", text(&root), text(&certificate)]);
        assert!(good, "{words}");
        let (good, words) = run("openssl", &["pkey", "-in", text(&key), "-noout"]);
        assert!(good, "{words}");
    }
    let (_, shown) = run("openssl", &["x509", "-in", text(&root), "-noout", "-text"]);
    for expected in ["CA:TRUE", "Certificate Sign, CRL Sign", "Subject Key Identifier", "secp384r1"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let error = ca::issue(folder.path(), "hub.example.org", 30, false, now).unwrap_err().to_string();
    assert!(error.contains("already") && error.contains("remove both files"), "{error}");
    fs::remove_dir_all(folder.path().join("ca/hub.example.org"))?;
    let (certificate, _) = ca::issue(folder.path(), "hub.example.org", 30, true, now)?;
    let (_, shown) = run("openssl", &["x509", "-in", text(&certificate), "-noout", "-text"]);
    let names = "DNS:hub.example.org, DNS:*.hub.example.org";
    for expected in ["CA:FALSE", names, "Authority Key Identifier", "TLS Web Server Authentication"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let error = ca::issue(folder.path(), "another.example.org", 30, false, now).unwrap_err().to_string();
    assert!(error.contains("was forgotten"), "{error}");
    let error = ca::init(folder.path(), 30, now).unwrap_err().to_string();
    assert!(error.contains("authority already"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_and_python_trust_the_authority_and_nothing_else() -> anyhow::Result<()> {
    if !need("curl") || !need("python") {
        return Ok(());
    }
    let folder = tempfile::Builder::new().prefix("nave-ca-").tempdir()?;
    let now = Clock::system().now();
    let root = ca::init(folder.path(), ca::DEFAULT_DAYS, now)?;
    ca::issue(folder.path(), "localhost", ca::DEFAULT_DAYS, false, now)?;
    let mut config = HubConfig::default();
    config.tls.ca_host = Some("localhost".to_owned());
    let address = ([127, 0, 0, 1], 0).into();
    config.listener =
        vec![ListenerTable { name: None, address, identity: "ca".to_owned(), proxy_from: Vec::new() }];
    let hub = TestHub::on(folder.into(), TestHubSetup { config, ..TestHubSetup::default() }).await?;

    let url = format!("https://localhost:{}/healthz", hub.address().port());
    let (good, words) = run("curl", &["--silent", "--show-error", "--cacert", text(&root), &url]);
    assert!(good && words == "ok\n", "{words}");
    let (good, words) = run("curl", &["--silent", "--show-error", &url]);
    assert!(!good && words.contains("certificate"), "{words}");
    let script = format!(
        "import ssl, urllib.request\n\
         context = ssl.create_default_context(cafile={:?})\n\
         context.verify_flags |= getattr(ssl, 'VERIFY_X509_STRICT', 0)\n\
         print(urllib.request.urlopen({url:?}, context=context).read().decode())",
        text(&root)
    );
    for python in pythons() {
        let (good, words) = run(text(&python), &["-c", &script]);
        assert!(good && words.starts_with("ok"), "{}: {words}", python.display());
    }
    Ok(())
}

/// Python, and where it is installed the version that is stricter by default.
fn pythons() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let newer = fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten();
    let newer = newer.filter_map(|entry| Some(entry.ok()?.path().join("bin/python3.13")));
    let newer = newer.chain(["/usr/bin/python3.13".into()]).filter(|path| path.exists());
    std::iter::once(PathBuf::from("python3")).chain(newer).collect()
}

#[tokio::test]
async fn the_first_start_makes_what_every_later_one_loads() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let key = identity::show(&hub.operator(), hub.hub(), true).await?;
    let (public, folder) = (hub.hub().key.public(), hub.folder());
    for (name, mode) in [
        ("cert/hub-key.pem", 0o600),
        ("cert/hub-cert.pem", 0o644),
        ("cert/hub-access-key", 0o600),
        ("hub.key", 0o600),
        ("master.key", 0o600),
        ("hub.sqlite", 0o600),
        ("hub.sock", 0o600),
    ] {
        assert_eq!(fs::metadata(hub.path().join(name))?.mode() & 0o777, mode, "{name}");
    }
    hub.stop().await;
    let hub = TestHub::on(folder, TestHubSetup::default()).await?;
    assert_eq!(hub.hub().key.public(), public);
    assert_eq!(*identity::show(&hub.operator(), hub.hub(), true).await?, *key);
    Ok(())
}

/// Why a hub does not start on a folder that something was done to.
async fn refusal(change: impl FnOnce(&Path)) -> anyhow::Result<String> {
    let hub = TestHub::start().await?;
    let folder = hub.folder();
    hub.stop().await;
    change(folder.path());
    match TestHub::on(folder, TestHubSetup::default()).await {
        Err(error @ (StartError::Identity(_) | StartError::Seal(_) | StartError::Store { .. })) => {
            Ok(error.to_string())
        }
        Err(other) => anyhow::bail!("another error: {other}"),
        Ok(_) => anyhow::bail!("it started"),
    }
}

#[tokio::test]
async fn a_damaged_identity_is_never_replaced_silently() -> anyhow::Result<()> {
    for name in ["cert/hub-cert.pem", "cert/hub-key.pem"] {
        let words = refusal(|folder| fs::remove_file(folder.join(name)).unwrap()).await?;
        assert!(words.contains(name) && words.contains("restore it from a backup"), "{words}");
    }
    for name in ["cert/hub-key.pem", "cert/hub-access-key", "hub.key", "master.key"] {
        let open = |folder: &Path| {
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        };
        let words = refusal(open).await?;
        assert!(words.contains(name) && words.contains("chmod 600"), "{words}");
    }
    let words = refusal(|folder| fs::write(folder.join("hub.key"), "damaged").unwrap()).await?;
    assert!(words.contains("hub.key") && words.contains("no node knows this hub"), "{words}");
    let words = refusal(|folder| {
        let other = tempfile::tempdir().unwrap();
        identity::self_signed(other.path(), KeyKind::EcdsaP256, Clock::system().now()).unwrap();
        fs::copy(other.path().join("hub-cert.pem"), folder.join("cert/hub-cert.pem")).unwrap();
    })
    .await?;
    assert!(words.contains("does not belong to the private key"), "{words}");
    let words = refusal(|folder| fs::write(folder.join("hub.sqlite"), "no database").unwrap()).await?;
    assert!(words.contains("hub.sqlite") && words.contains("restore"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_that_refuses_the_next_start() -> anyhow::Result<()> {
    if !need("mount") {
        return Ok(());
    }
    let now = Clock::system().now();
    let mut failed = 0;
    // Whatever is the last file that still fits: nothing, the key, or a part of the certificate.
    for pages_left in 0..8 {
        let disk = Tiny::mount("64k").expect("root may mount a tmpfs; else set NAVE_TEST_SKIP=mount");
        let ballast = disk.path().join("ballast");
        let mut filled = 64 << 10;
        while filled > 0 && fs::write(&ballast, vec![0; filled]).is_err() {
            filled -= 4096;
        }
        fs::File::options()
            .write(true)
            .open(&ballast)?
            .set_len((filled as u64).saturating_sub(pages_left * 4096))?;
        let start = || -> Result<(), identity::IdentityError> {
            let folder = identity::DataFolder::open(&disk.path().join("d"))?;
            identity::hub_key(folder.path(), &nave_link::random::Random::system())?;
            let own = identity::self_signed(&folder.certificates()?, KeyKind::EcdsaP256, now)?;
            identity::AccessKeys::load_or_make(
                &folder.certificates()?,
                own.fingerprint,
                &nave_link::random::Random::system(),
            )?;
            Ok(())
        };
        if let Err(error) = start() {
            failed += 1;
            assert!(error.to_string().contains("No space left"), "{error}");
        }
        fs::remove_file(&ballast)?;
        start()?;
    }
    assert!(failed > 1, "the disk was never full: this proves nothing");
    Ok(())
}

#[test]
fn a_power_cut_between_key_and_certificate_is_finished_at_the_next_start() -> anyhow::Result<()> {
    let (folder, now) = (tempfile::tempdir()?, Clock::system().now());
    let made = identity::self_signed(folder.path(), KeyKind::EcdsaP256, now)?;
    let (pending, certificate) =
        (folder.path().join("hub-cert.pem.pending"), folder.path().join("hub-cert.pem"));
    assert!(!pending.exists());
    fs::rename(&certificate, &pending)?;
    let finished = identity::self_signed(folder.path(), KeyKind::EcdsaP256, now)?;
    assert_eq!(finished.fingerprint, made.fingerprint);
    assert!(!pending.exists());
    // Cut before the key was written: nobody has seen that certificate, so another is made.
    fs::rename(&certificate, &pending)?;
    fs::remove_file(folder.path().join("hub-key.pem"))?;
    assert_ne!(identity::self_signed(folder.path(), KeyKind::EcdsaP256, now)?.fingerprint, made.fingerprint);
    assert!(!pending.exists());
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_years_is_named() -> anyhow::Result<()> {
    let (folder, now) = (tempfile::tempdir()?, Clock::system().now());
    identity::self_signed(folder.path(), KeyKind::EcdsaP256, now)?;
    let load = |at| identity::self_signed(folder.path(), KeyKind::EcdsaP256, at).map(|_| ());
    load(now + YEAR).expect("a year later it is still good");
    let error = load(now - YEAR).unwrap_err().to_string();
    assert!(error.contains("check the clock"), "{error}");
    let error = load(now + 11 * YEAR).unwrap_err().to_string();
    assert!(error.contains("expired") && error.contains("check the clock"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_replaced_certificate_keeps_nodes_and_renames_the_access_key() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let mut node = TestNode::join(&hub, "lab", &[], &[]).await?;
    let old = identity::show(&hub.operator(), hub.hub(), false).await?;
    let (folder, address) = (hub.folder(), hub.address());
    hub.stop().await;
    for name in ["hub-cert.pem", "hub-key.pem"] {
        fs::remove_file(folder.path().join("cert").join(name))?;
    }
    let config = HubConfig { listen: vec![address], ..HubConfig::default() };
    let hub = TestHub::on(folder, TestHubSetup { config, ..TestHubSetup::default() }).await?;
    let new = identity::show(&hub.operator(), hub.hub(), false).await?;
    assert_ne!(old[..16], new[..16]);
    assert_eq!(old[17..], new[17..], "the secret stays");
    node.start()?;
    node.happens("connected").await?;
    Ok(())
}
