//! A machine boots, and our units are clean and tight in the eyes of its systemd.

use std::path::{Path, PathBuf};

use nave_testkit::need;
use nave_testkit::net::{Net, SERVER};
use nave_testkit::nspawn::Machine;

const UNITS: [&str; 3] = ["nave-hub.socket", "nave-hub.service", "nave-node.service"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

#[tokio::test(flavor = "multi_thread")]
async fn nspawn_a_machine_boots_clean_every_time() -> anyhow::Result<()> {
    if !need("nspawn") {
        return Ok(());
    }
    for _ in 0..2 {
        let machine = Machine::boot().await?;
        assert_eq!(machine.read("systemctl is-system-running").await?, "running\n", "{}", machine.console());
        assert!(!machine.shell("test -e /etc/mark").await?.status.success());
        machine.write("/etc/mark", "made by the first\n", 0o640)?;
        assert_eq!(machine.read("stat -c %a /etc/mark && cat /etc/mark").await?, "640\nmade by the first\n");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nspawn_a_machine_stands_in_a_network() -> anyhow::Result<()> {
    if !need("nspawn") || !need("netns") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let machine = Machine::boot_on(&net.server).await?;
    let addresses = machine.read("ip -4 -oneline address show").await?;
    assert!(addresses.contains(&SERVER.to_string()), "{addresses}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nspawn_the_units_are_clean_and_tight() -> anyhow::Result<()> {
    if !need("nspawn") {
        return Ok(());
    }
    let machine = Machine::boot().await?;
    for unit in UNITS {
        machine.put(&deploy().join("systemd").join(unit), &format!("/etc/systemd/system/{unit}"))?;
    }
    // systemd checks that the program is there, not what it does.
    machine.write("/usr/bin/nave", "", 0o755)?;
    for example in ["tls-credential", "network"] {
        let from = deploy().join(format!("systemd/nave-hub.service.d/{example}.conf.example"));
        machine.put(&from, &format!("/etc/systemd/system/nave-hub.service.d/{example}.conf"))?;
        let checked = machine.shell("systemd-analyze verify --man=no nave-hub.service 2>&1").await?;
        // It prints what it does not know and calls that a success.
        assert!(checked.status.success() && checked.stdout.is_empty(), "{example}: {checked:?}");
        machine.read("systemd-analyze security --offline=true --threshold=20 nave-hub.service").await?;
        machine.read("rm -r /etc/systemd/system/nave-hub.service.d").await?;
    }
    for unit in UNITS {
        let checked = machine.shell(&format!("systemd-analyze verify --man=no {unit} 2>&1")).await?;
        assert!(checked.status.success() && checked.stdout.is_empty(), "{unit}: {checked:?}");
    }
    for unit in ["nave-hub.service", "nave-node.service"] {
        machine.read(&format!("systemd-analyze security --offline=true --threshold=20 {unit}")).await?;
    }
    Ok(())
}
