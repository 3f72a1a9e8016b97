//! A connection by itself, on a clock that stands still.

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::socket::{Incoming, Inner};
use super::super::strangers::Strangers;
use super::*;

const ENDPOINT: Endpoint = Endpoint { path: "/socket.io/", namespaces: &["/naisys"] };

/// Lets everybody in, and has all the time in the world for what they say.
#[derive(Default)]
struct Dozes(Mutex<Vec<mpsc::Receiver<Box<Incoming>>>>);

impl Join for Dozes {
    fn join(&self, inner: Arc<Inner>, _: Map<String, Value>, inbox: mpsc::Receiver<Box<Incoming>>) {
        inner.open();
        self.0.lock().unwrap().push(inbox);
    }
}

fn connection(transport: Transport) -> (Arc<Connection>, Arc<Strangers>) {
    let settings = Settings { backlog: (1000, 10), ..Settings::new(&[ENDPOINT], 1_000_000) };
    let strangers = Strangers::new(settings.strangers);
    let source: IpAddr = [192, 0, 2, 1].into();
    let stranger = strangers.enter(source).unwrap();
    let common = Common {
        settings,
        tasks: TaskTracker::new(),
        random: Random::seeded(1),
        join: Arc::new(Dozes::default()),
    };
    let who = ("sid".to_owned(), source, &ENDPOINT);
    (Connection::new(Arc::new(common), who, transport, stranger), strangers)
}

fn texts(packets: &[Text]) -> Vec<&str> {
    packets.iter().map(|packet| std::str::from_utf8(packet.as_bytes()).unwrap()).collect()
}

async fn watched(connection: &Arc<Connection>) -> (Gone, u64) {
    let began = Instant::now();
    let why = connection.watch().await;
    (why, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_asks_for_nothing_is_late() {
    let (connection, strangers) = connection(Transport::Polling);
    assert_eq!(watched(&connection).await, (Gone::Late, 10));
    connection.close(Gone::Late);
    assert_eq!(strangers.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_after_a_ping_is_lost_and_who_answers_is_not() {
    let (connection, strangers) = connection(Transport::WebSocket);
    assert_eq!(connection.longest(), 64 << 10);
    connection.receive("40/naisys,{}").await.unwrap();
    assert_eq!((strangers.count(), connection.longest()), (0, 1_000_000));
    let Batch { packets, last } = connection.next_batch().await;
    assert!(last.is_none() && texts(&packets)[0].starts_with(r#"40/naisys,{"sid":""#));

    let answering = async {
        for _ in 0..3 {
            assert_eq!(texts(&connection.next_batch().await.packets), ["2"]);
            tokio::time::sleep(Duration::from_secs(19)).await;
            connection.receive("3").await.unwrap();
        }
        assert_eq!(texts(&connection.next_batch().await.packets), ["2"]);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        watched = watched(&connection) => assert_eq!(watched, (Gone::Silent, 4 * 25 + 20)),
        () = answering => {}
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_listened_to_is_not_silent() {
    let (connection, _) = connection(Transport::WebSocket);
    connection.receive("40/naisys,{}").await.unwrap();
    let long = format!("42/naisys,[\"log_write\",\"{}\"]", "x".repeat(600_000));
    connection.receive(&long).await.unwrap();
    let behind = connection.receive(&long);
    let hours = tokio::time::sleep(Duration::from_hours(2));
    tokio::select! {
        _ = behind => panic!("there was no room for it"),
        why = connection.watch() => panic!("{why:?}"),
        alive = async { hours.await; connection.alive(Duration::from_secs(3)).await } => assert!(alive),
    }
    assert!(!connection.alive(Duration::from_secs(3)).await, "now nothing is on its way");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_and_said_before_the_end() {
    let (connection, _) = connection(Transport::WebSocket);
    connection.receive("40/naisys,{}").await.unwrap();
    assert!(connection.send("4long".repeat(1000).into()), "one may be longer");
    assert_eq!(connection.backlog().0, 2);
    connection.close(Gone::Closed);
    assert!(!connection.send(Text::PING));
    let Batch { packets, last } = connection.next_batch().await;
    assert_eq!((packets.len(), last), (2, Some(Gone::Closed)));

    let (connection, _) = self::connection(Transport::WebSocket);
    while connection.send(Text::PING) {}
    assert_eq!(connection.next_batch().await, Batch { packets: Vec::new(), last: Some(Gone::Slow) });
}

#[tokio::test(start_paused = true)]
async fn a_waiting_poll_is_released_so_that_the_client_moves() {
    let (connection, _) = connection(Transport::Polling);
    connection.begin_poll().unwrap();
    assert_eq!((connection.begin_poll(), connection.poll()), (Err(Overlap), Polled::Nothing));
    connection.begin_upgrade().unwrap();
    assert_eq!(connection.begin_upgrade(), Err(Overlap), "one at a time");
    assert_eq!(connection.poll(), Polled::Nothing, "it has proved nothing yet");
    connection.upgrade_goes(true);
    assert_eq!(connection.poll(), Polled::Release);
    assert!(connection.send(Text::PING));
    assert_eq!(
        connection.poll(),
        Polled::Packets(vec![Text::PING]),
        "packets go by the old way until it has moved"
    );
    connection.end_poll();
    connection.upgraded();
    assert_eq!(connection.transport(), Transport::WebSocket);
    assert_eq!((connection.begin_poll(), connection.begin_post()), (Err(Overlap), Err(Overlap)));
}

#[tokio::test(start_paused = true)]
async fn packets_that_may_not_come() {
    for bad in
        ["", "2", "2probe", "0{}", "bAA", "4", "42/naisys,[\"early\"]", "41/naisys,", "43/naisys,0[]", "49"]
    {
        let (connection, _) = connection(Transport::WebSocket);
        assert!(connection.receive(bad).await.is_err(), "{bad:?}");
    }
    let (connection, _) = connection(Transport::WebSocket);
    connection.receive("40/naisys,{}").await.unwrap();
    assert!(connection.receive("40/naisys,{}").await.is_err(), "it is in");
    connection.receive("43/naisys,99[1]").await.unwrap();
    connection.receive("41/naisys,").await.unwrap();
    connection.receive("42/naisys,[\"late\"]").await.unwrap();
    connection.receive("40/naisys,{}").await.unwrap();
    connection.receive("40/elsewhere,{}").await.unwrap();
    assert_eq!(
        texts(&connection.next_batch().await.packets)[2],
        r#"44/elsewhere,{"message":"Invalid namespace"}"#
    );
}
