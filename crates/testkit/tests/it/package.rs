//! The Debian package, installed on a machine with a running systemd: the hub by socket activation and without a
//! network, the node as a service, a certificate by credential, and removal.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use nave_testkit::need;
use nave_testkit::need::packages;
use nave_testkit::net::{Host, Net};
use nave_testkit::nspawn::Machine;
use nave_testkit::wait::until;

/// The program that `cargo xtask package` left.
fn program() -> anyhow::Result<String> {
    let program = packages().context("no package was built")?.join("nave");
    program.into_os_string().into_string().map_err(|path| anyhow!("{} is no plain text", path.display()))
}

/// The Debian package beside it; its name ends in the processor.
fn package() -> anyhow::Result<PathBuf> {
    let folder = packages().context("no package was built")?;
    let prefix = concat!("nave_", env!("CARGO_PKG_VERSION"), "_");
    let names = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut ours =
        names.filter(|path| path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(prefix)));
    ours.next().context("there is a program and no package of it")
}

/// A machine with the package installed, on the network of `host`, where the hub calls itself `https://server`.
async fn install(host: &Host) -> anyhow::Result<Machine> {
    let machine = Machine::boot_on(host).await?;
    machine.put(&package()?, "/opt/nave.deb")?;
    machine.read("dpkg --install /opt/nave.deb").await?;
    machine.write("/etc/nave/hub.toml", "url = \"https://server\"\n", 0o644)?;
    Ok(machine)
}

async fn is_healthy(from: &Host) -> anyhow::Result<()> {
    let checks =
        ["--insecure", "--silent", "--show-error", "--fail", "--max-time", "30", "https://server/healthz"];
    from.read("curl", &checks).await.map(drop)
}

async fn is_online(machine: &Machine, node: &str) -> Option<()> {
    let line = format!(
        "nave node list --json | tr -d ' \\n' | grep -F '\"name\":\"{node}\"' | grep -F '\"online\":true'"
    );
    machine.read(&line).await.ok().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn nspawn_the_package_is_a_hub_without_a_network() -> anyhow::Result<()> {
    if !(need("nspawn") && need("netns") && need("curl") && need("package")) {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let machine = install(&net.server).await?;

    // Installing starts nothing; the first caller does.
    assert_eq!(
        machine.shell("systemctl is-enabled nave-hub.socket nave-node").await?.stdout,
        b"disabled\ndisabled\n"
    );
    machine.read("systemctl enable --now nave-hub.socket").await?;
    assert_eq!(machine.shell("systemctl is-active nave-hub.service").await?.stdout, b"inactive\n");
    is_healthy(&net.lab).await?;
    assert_eq!(machine.read("systemctl is-active nave-hub.service").await?, "active\n");

    // Its network is the loopback and nothing else, its user not root, its folder closed to others.
    let inside = "nsenter --net --target $(systemctl show --property=MainPID --value nave-hub)";
    assert_eq!(machine.read(&format!("{inside} ip -brief link | cut -d' ' -f1")).await?, "lo\n");
    let user = machine.read("ps -o uid= -C nave").await?;
    assert_ne!(user.trim(), "0");
    assert_eq!(machine.read("stat -L -c '%a %u' /var/lib/nave").await?, format!("700 {}\n", user.trim()));

    // Root speaks with it through the socket in the folder, and a machine behind NAT joins.
    let line = machine.read("nave invite --name lab --role exporter").await?;
    let token = line.split_whitespace().find(|word| word.starts_with("nave1")).expect("a token in the line");
    let nave = program()?;
    net.lab.read(&nave, &["join", "https://server", "--token", token, "--once"]).await?;
    let mut node = net.lab.command(nave).args(["node", "run"]).spawn()?;
    until("lab is online", || is_online(&machine, "lab")).await?;

    // A hub that is killed comes back without the socket having refused anyone, and lab with it.
    let before = machine.read("systemctl show --property=MainPID --value nave-hub").await?;
    machine.read(&format!("kill -KILL {before}")).await?;
    is_healthy(&net.laptop).await?;
    assert_ne!(machine.read("systemctl show --property=MainPID --value nave-hub").await?, before);
    until("lab is online again", || is_online(&machine, "lab")).await?;
    assert!(node.try_wait()?.is_none(), "lab's node ended");

    // A reload is no restart.
    let before = machine.read("systemctl show --property=MainPID --value nave-hub").await?;
    machine.read("systemctl kill --kill-who=main --signal=HUP nave-hub").await?;
    is_healthy(&net.lab).await?;
    assert_eq!(machine.read("systemctl show --property=MainPID --value nave-hub").await?, before);

    machine.read("dpkg --purge nave").await?;
    assert!(!machine.shell("ls /usr/lib/systemd/system/nave* /usr/bin/nave").await?.status.success());
    assert_eq!(machine.shell("systemctl is-active nave-hub.socket").await?.stdout, b"inactive\n");
    machine.read("test -f /var/lib/nave/hub.key").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nspawn_the_package_serves_a_certificate_that_only_root_may_read() -> anyhow::Result<()> {
    if !(need("nspawn") && need("netns") && need("openssl") && need("package")) {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let machine = install(&net.server).await?;
    machine
        .read(
            "umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 \
             -subj /CN=from-files -addext subjectAltName=DNS:server -keyout /etc/nave/tls.key -out /etc/nave/tls.crt",
        )
        .await?;
    let drop_in = "/etc/systemd/system/nave-hub.service.d/tls-credential.conf";
    machine
        .read(&format!(
            "mkdir $(dirname {drop_in}) && cp /usr/share/doc/nave/examples/tls-credential.conf.example {drop_in} \
             && systemctl daemon-reload && systemctl enable --now nave-hub.socket"
        ))
        .await?;
    let served =
        net.lab.read("openssl", &["s_client", "-connect", "server:443", "-servername", "server"]).await?;
    assert!(served.contains("subject=CN = from-files"), "{served}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nspawn_the_package_keeps_a_node_connected() -> anyhow::Result<()> {
    if !(need("nspawn") && need("netns") && need("package")) {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let machine = install(&net.server).await?;

    // Without a membership there is nothing to run, and that is no failure.
    machine.read("systemctl start nave-node").await?;
    assert_eq!(machine.shell("systemctl is-active nave-node").await?.stdout, b"inactive\n");

    // Hub and node on one machine share the folder; root joins, the service runs as another user.
    machine.read("systemctl enable --now nave-hub.socket && systemctl start nave-hub").await?;
    machine.read("echo 198.18.0.1 server >/etc/hosts").await?;
    let line = machine.read("nave invite --name here").await?;
    let token = line.split_whitespace().find(|word| word.starts_with("nave1")).expect("a token in the line");
    machine.read(&format!("nave join https://server --token {token} --once")).await?;
    machine.read("systemctl enable --now nave-node || { journalctl --unit=nave-node >&2; false; }").await?;
    until("the node is online", || is_online(&machine, "here")).await?;

    machine.read("systemctl restart nave-hub").await?;
    until("the node is online again", || is_online(&machine, "here")).await?;
    assert_eq!(machine.read("systemctl show --property=NRestarts --value nave-node").await?, "0\n");
    assert_eq!(machine.shell("systemctl --failed --no-legend").await?.stdout, b"");
    Ok(())
}
