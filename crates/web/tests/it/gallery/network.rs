//! Overview, nodes and streams.

use nave_core::api::{Node, NodeStatus};
use nave_core::hub::error::Error;
use nave_web::shell::CORE_MENU;
use nave_web::ui::{Filled, Tone};
use nave_web::views::happening::Happening;
use nave_web::views::listing::{Listing, Pager};
use nave_web::views::nodes::{Arrival, Choice, EditNode, Invite, Invited, May, NodeDetail, Nodes};
use nave_web::views::overview::{Attention, Overview};
use nave_web::views::streams::Streams;
use nave_web::views::wheel::{Standing, Wheel};
use time::Duration;

use super::things::{LONG, events, grant, long_events, many, node, stream, three};
use super::{HOSTILE, NOW, Sample, refused, shell};

const URL: &str = "https://hub.example.org:3101";

fn standing(node: &Node) -> Standing {
    match (node.status, node.online) {
        (NodeStatus::Active, true) => Standing::On,
        (NodeStatus::Pending, _) => Standing::Waiting,
        _ => Standing::Off,
    }
}

fn overview(nodes: &[Node], attention: Vec<Attention>, streams: &[(String, String, bool)]) -> Overview {
    let nodes: Vec<(String, Standing)> =
        nodes.iter().map(|node| (node.name.clone(), standing(node))).collect();
    Overview {
        shell: shell("Overview", "/"),
        attention,
        passed: 12,
        summaries: vec![],
        wheel: Wheel::of(&nodes, streams),
        nodes,
        streams: streams.len(),
        happened: Some(events().iter().map(Happening::from).collect()),
        may_invite: true,
        url: URL.to_owned(),
    }
}

fn attention() -> Vec<Attention> {
    let one =
        |tone, name: &str, words: &str, to| Attention { tone, name: name.into(), words: words.into(), to };
    vec![
        one(Tone::Bad, "disk", "87 MiB free: free some space now, writes are about to fail", None),
        one(Tone::Warn, "backup", "there is none yet: run `nave backup FILE`", Some(("/status", "Status"))),
        one(
            Tone::Warn,
            "nodes",
            "1 of 3 not connected: ward-server; check those machines and their networks",
            Some(("/nodes?status=off", "Nodes")),
        ),
        one(
            Tone::Warn,
            "1 machine waits to be let in",
            "Compare its key, then let it in or revoke it.",
            Some(("/nodes?status=waiting", "Decide")),
        ),
    ]
}

fn list(nodes: Vec<Node>, asked: &[(&'static str, &str)], total: usize) -> Nodes {
    let listing = Listing::new("/nodes", asked);
    let (nodes, pager) = Pager::cut(&listing, nodes);
    let status = listing.get("status").to_owned();
    let choice = |label, value: &str, count| Choice {
        label,
        count,
        path: listing.with("status", value),
        here: status == value,
    };
    let choices = vec![
        choice("All", "", total),
        choice("Connected", "on", total * 2 / 3),
        choice("Not connected", "off", total / 3),
        choice("Waiting", "waiting", 0),
        choice("Revoked", "revoked", 1),
    ];
    Nodes { shell: shell("Nodes", "/nodes"), choices, nodes, pager, total, may_invite: true, listing }
}

fn detail(node: Node) -> NodeDetail {
    NodeDetail {
        shell: shell(&node.name, "/nodes"),
        streams: vec![stream(1, "laptop", &node.name, "direct")],
        happened: Some(events().iter().take(5).map(Happening::from).collect()),
        may: May { approve: true, change: true, grant: true, revoke: true },
        grant: Filled::blank(),
        url: URL.to_owned(),
        node,
    }
}

fn invited(joined: Vec<Node>, name: Option<&str>) -> Invited {
    let name = name.map(ToOwned::to_owned);
    Invited {
        shell: shell("Invite a machine", "/nodes"),
        name: name.clone(),
        command: format!(
            "nave join {URL} --token nave1kq3v9t2m5x8w1z4c7b0n3k6j9h2g5f8d1s4a7p0o3i6u9y2t5r8e1w4q7 --allow 127.0.0.1:8080"
        ),
        expires_at: NOW + Duration::hours(1),
        uses: 1,
        arrival: Arrival { invite: "0198f0e3".to_owned(), name, joined },
    }
}

fn streams(count: usize) -> Streams {
    let paths = ["direct", "relayed", "opening"];
    let all = (0..count)
        .map(|at| match at % 5 {
            4 => stream(at, HOSTILE, LONG, "relayed"),
            _ => stream(at, "laptop", "lab", paths[at % 3]),
        })
        .collect();
    let listing = Listing::new("/streams", &[]);
    let (streams, pager) = Pager::cut(&listing, all);
    Streams { shell: shell("Streams", "/streams"), listing, streams, pager, total: count, may_cut: true }
}

pub fn samples() -> Vec<Sample> {
    let relayed = |from: &str, to: &str, relayed| (from.to_owned(), to.to_owned(), relayed);
    let ten: Vec<Node> = [
        "bench-a",
        "bench-b",
        "bench-c",
        "home",
        "lab",
        "laptop",
        "office",
        "ward-north",
        "ward-server",
        "ward-south",
    ]
    .iter()
    .map(|name| node(name, !["home", "ward-server"].contains(name)))
    .collect();
    let streams_of_ten = [relayed("laptop", "lab", false), relayed("office", "ward-north", true)];
    let pending = Node {
        status: NodeStatus::Pending,
        online: false,
        allow: vec![],
        joined_at: None,
        ..node("bench", false)
    };
    let full = Node {
        roles: vec!["exporter".into(), "importer".into()],
        grants: vec![grant("ward-server:5432"), grant("*")],
        allow: vec!["127.0.0.1:8080".into(), "10.0.0.7:22".into(), "camera.lan:*".into()],
        ..three().remove(0)
    };
    let refused = refused(
        b"name=not a name&roles=site&grants=lab&allow=",
        &Error::invalid(
            "name",
            "\"not a name\" cannot be a node's name: use 1 to 63 letters, digits, \"-\", \"_\" and \".\", the first a letter or digit",
        ),
    );
    let edit = Filled::with([("name", "lab"), ("roles", "exporter"), ("labels", "room=3.14")]);
    let mut empty = overview(&[], vec![], &[]);
    empty.happened = Some(events().iter().rev().take(1).map(Happening::from).collect());
    let mut well = overview(&ten, vec![], &streams_of_ten);
    well.shell.menu = CORE_MENU.to_vec();
    let mut long = overview(&many(3000), attention(), &[]);
    long.happened = Some(long_events().iter().take(12).map(Happening::from).collect());
    vec![
        Sample::of("overview-empty", &empty),
        Sample::of("overview-3", &overview(&three(), vec![], &[relayed("laptop", "lab", false)])),
        Sample::of("overview-well", &well),
        Sample::of("overview-10", &overview(&ten, attention(), &streams_of_ten)),
        Sample::of("overview-60", &overview(&many(60), attention(), &[])),
        Sample::of("overview-3000", &long),
        Sample::of("nodes-empty", &list(vec![], &[], 0)),
        Sample::of("nodes-3", &list(three(), &[], 3)),
        Sample::of("nodes-none-found", &list(vec![], &[("q", "nothing")], 3)),
        Sample::of("nodes-3000", &list(many(3000), &[("q", "a"), ("page", "3"), ("sort", "-seen")], 3000)),
        Sample::of("node-detail", &detail(full.clone())),
        Sample::of(
            "node-pending",
            &NodeDetail { streams: vec![], happened: Some(vec![]), ..detail(pending) },
        ),
        Sample::of("node-long", &detail(Node { name: LONG.into(), ..many(8).remove(7) })),
        Sample::of("node-edit", &EditNode { shell: shell("Change lab", "/nodes"), node: full, form: edit }),
        Sample::of(
            "node-invite",
            &Invite {
                shell: shell("Invite a machine", "/nodes"),
                form: Filled::with([("ttl", "3600"), ("uses", "1"), ("roles", "exporter")]),
            },
        ),
        Sample::of(
            "node-invite-refused",
            &Invite { shell: shell("Invite a machine", "/nodes"), form: refused },
        ),
        Sample::of("node-invited", &invited(vec![], Some("lab"))),
        Sample::of("node-invited-came", &invited(vec![three().remove(0)], Some("lab"))),
        Sample::of("streams-empty", &streams(0)),
        Sample::of("streams-3", &streams(3)),
        Sample::of("streams-3000", &streams(3000)),
    ]
}
