//! The three hosts: who reaches whom, cut cables, and that nothing stays behind.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;

use futures::future::join_all;
use nave_testkit::need;
use nave_testkit::net::{Host, Net, SERVER, SERVER_V6};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

/// A service that answers every connection with `hello from <host>`, on IPv4 and IPv6.
async fn greet(host: &Host) -> anyhow::Result<Child> {
    let mut service = host
        .command("socat")
        .args(["-d", "-d", "TCP6-LISTEN:7000,ipv6only=0,reuseaddr,fork"])
        .arg("SYSTEM:echo hello from $(hostname)")
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(service.stderr.take().expect("stderr was asked for")).lines();
    while let Some(line) = log.next_line().await? {
        if line.contains("listening on") {
            // Read on, or the service would stop at a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
            return Ok(service);
        }
    }
    anyhow::bail!("the service ended: {}", service.wait().await?)
}

/// What the service on `to` says. The kernel sends on for as long as the connection may take, so a cable that
/// is mended in that time is no failure.
async fn visit(from: &Host, to: impl Into<IpAddr>) -> anyhow::Result<String> {
    connect(from, to.into(), 30).await
}

/// Whether the service on `to` stays out of reach for a second.
async fn is_cut_off(from: &Host, to: impl Into<IpAddr>) -> bool {
    connect(from, to.into(), 1).await.is_err()
}

async fn connect(from: &Host, to: IpAddr, seconds: u8) -> anyhow::Result<String> {
    let to = SocketAddr::new(to, 7000);
    from.read("socat", &["-u", "-T", "30", &format!("TCP:{to},connect-timeout={seconds}"), "STDOUT"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_the_two_machines_reach_the_server_and_not_each_other() -> anyhow::Result<()> {
    if !need("netns") || !need("socat") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let _services = [greet(&net.server).await?, greet(&net.lab).await?, greet(&net.laptop).await?];

    for machine in [&net.lab, &net.laptop] {
        assert_eq!(visit(machine, SERVER).await?, "hello from server\n");
        assert_eq!(visit(machine, SERVER_V6).await?, "hello from server\n");
    }
    // Each answers on its own network, so silence from outside is the network's doing.
    assert_eq!(visit(&net.lab, net.lab.address()).await?, "hello from lab\n");
    assert_eq!(visit(&net.laptop, net.laptop.address_v6()).await?, "hello from laptop\n");

    let closed: [(&Host, IpAddr); 8] = [
        (&net.lab, net.laptop.address().into()),
        (&net.lab, net.laptop.address_v6().into()),
        (&net.lab, net.outside_of_laptop().into()),
        (&net.laptop, net.lab.address().into()),
        (&net.laptop, net.lab.address_v6().into()),
        (&net.laptop, net.outside_of_lab().into()),
        (&net.server, net.outside_of_lab().into()),
        (&net.server, net.lab.address().into()),
    ];
    let visits = closed.map(|(from, to)| async move { (to, is_cut_off(from, to).await) });
    for (to, cut_off) in join_all(visits).await {
        assert!(cut_off, "{to} answered");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_at_one_site_the_two_machines_reach_each_other() -> anyhow::Result<()> {
    if !need("netns") || !need("socat") {
        return Ok(());
    }
    let net = Net::lab_and_laptop_at_one_site()?;
    let _services = [greet(&net.server).await?, greet(&net.lab).await?];

    assert_eq!(visit(&net.laptop, net.lab.address()).await?, "hello from lab\n");
    assert_eq!(visit(&net.laptop, net.lab.address_v6()).await?, "hello from lab\n");
    assert_eq!(visit(&net.lab, SERVER).await?, "hello from server\n");
    assert!(is_cut_off(&net.server, net.lab.address()).await);
    assert!(is_cut_off(&net.server, net.outside_of_lab()).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_a_cable_is_cut_lossy_slow_and_mended() -> anyhow::Result<()> {
    if !need("netns") || !need("socat") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let _service = greet(&net.server).await?;

    net.lab.down()?;
    assert!(is_cut_off(&net.lab, SERVER).await);
    assert_eq!(visit(&net.laptop, SERVER).await?, "hello from server\n");
    net.lab.up()?;
    assert_eq!(visit(&net.lab, SERVER).await?, "hello from server\n");

    net.lab.lose(20)?;
    let rules = net.lab.read("nft", &["list", "ruleset"]).await?;
    assert!(rules.contains("numgen random mod 100 < 20 drop"), "{rules}");
    net.lab.lose(0)?;

    net.server.lose(100)?;
    assert!(is_cut_off(&net.lab, SERVER).await);
    net.server.lose(0)?;
    assert_eq!(visit(&net.lab, SERVER).await?, "hello from server\n");

    net.lab.slow(Some(64))?;
    let shaped = net.lab.read("tc", &["qdisc", "show", "dev", "eth0"]).await?;
    assert!(shaped.contains("tbf") && shaped.contains("64Kbit"), "{shaped}");
    assert_eq!(visit(&net.lab, SERVER).await?, "hello from server\n");
    net.lab.slow(None)?;
    let shaped = net.lab.read("tc", &["qdisc", "show", "dev", "eth0"]).await?;
    assert!(!shaped.contains("tbf"), "{shaped}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_a_host_has_a_name_a_home_and_no_settings_of_ours() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    assert_eq!(net.lab.read("hostname", &[]).await?, "lab\n");
    let home = format!("{}\n", net.lab.home().display());
    assert_eq!(net.lab.read("sh", &["-c", "echo $HOME"]).await?, home);
    assert_eq!(net.lab.read("pwd", &[]).await?, home);
    let settings = net.lab.read("sh", &["-c", "env | grep -E '^(NAVE|NAISYS|HUB)_'"]).await?;
    assert_eq!(settings, format!("NAVE_DIR={}\n", net.lab.data().display()));
    assert!(net.lab.data().join("hub.sock").as_os_str().len() <= 107);
    let server = net.laptop.read("getent", &["ahostsv4", "server"]).await?;
    assert!(server.starts_with(&SERVER.to_string()), "{server}");
    assert!(net.laptop.read("getent", &["hosts", "elsewhere.example"]).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_nothing_stays_behind() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let home = net.lab.home().to_owned();
    // A program that outlives the one that started it.
    net.lab.read("sh", &["-c", "setsid sleep 1000 >&- 2>&- & echo $! > straggler"]).await?;
    let straggler = std::fs::read_to_string(home.join("straggler"))?;
    let straggler = format!("/proc/{}", straggler.trim());
    assert!(std::path::Path::new(&straggler).exists());
    let ours = format!("nave-{}-", std::process::id());
    let left = || {
        let names = ["/run/netns", "/etc/netns"].into_iter().filter_map(|at| std::fs::read_dir(at).ok());
        names.flatten().flatten().any(|it| it.file_name().to_string_lossy().starts_with(&ours))
    };
    assert!(left());
    drop(net);
    assert!(!home.exists());
    // Other tests of this process may run beside this one only where threads share it.
    if std::env::var_os("NEXTEST").is_some() {
        assert!(!left());
    }
    // Killed; its parent, which is not ours, may still have to collect it.
    let gone = std::fs::read_to_string(format!("{straggler}/stat")).is_ok_and(|stat| stat.contains(") S "));
    assert!(!gone, "{straggler} still runs");
    Ok(())
}
