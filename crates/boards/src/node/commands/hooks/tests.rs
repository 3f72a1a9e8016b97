//! The order in which commands run, whatever comes in between. The commands are real, and write down what they know.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::node::commands::Power;

/// A place whose commands write lines into a file.
struct Place {
    folder: TempDir,
    commands: Commands,
}

/// Hears nothing.
struct Deaf;

impl Tell for Deaf {
    fn began<'a>(&'a self, _: &'a str, _: Occasion, _: Duration) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn ended<'a>(&'a self, _: &'a str, _: CommandRun, _: bool) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let line = |exit: &str| {
            Some(format!("echo \"$NAVE_OCCASION $NAVE_HOLDER $NAVE_RESERVATION\" >> log; test ! -e {exit}"))
        };
        let commands = Commands {
            folder: folder.path().to_owned(),
            before: line("bad-before"),
            after: line("bad-after"),
            ..Commands::default()
        };
        Self { folder, commands }
    }

    /// As after a start.
    fn hooks(&self) -> Hooks {
        Hooks::new(Clock::system(), self.folder.path().join("state"))
    }

    async fn begin(&self, hooks: &Hooks, id: &str) -> Result<(), NotReady> {
        let tenant = Tenant { id: id.to_owned(), holder: format!("{id}'s"), name: "x".to_owned() };
        hooks.begin("bench", &self.commands, &tenant, false, &Deaf).await
    }

    async fn end(&self, hooks: &Hooks) -> Result<(), NotReady> {
        hooks.end("bench", &self.commands, || true, &Deaf).await
    }

    /// What was written since the last time.
    fn log(&self) -> Vec<String> {
        let path = self.folder.path().join("log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    fn breaks(&self, hook: &str) {
        fs::write(self.folder.path().join(hook), "").unwrap();
    }

    fn mends(&self, hook: &str) {
        fs::remove_file(self.folder.path().join(hook)).unwrap();
    }
}

#[tokio::test]
async fn each_reservation_has_its_own_two_and_a_restart_changes_nothing() {
    let place = Place::new();
    let hooks = place.hooks();
    place.end(&hooks).await.unwrap();
    assert!(place.log().is_empty(), "nobody had it");
    place.begin(&hooks, "a").await.unwrap();
    assert_eq!(place.log(), ["before a's x"]);
    // It goes on, here and after a start.
    place.begin(&hooks, "a").await.unwrap();
    let hooks = place.hooks();
    place.begin(&hooks, "a").await.unwrap();
    assert!(place.log().is_empty());
    // The next one comes without a pause.
    place.begin(&hooks, "b").await.unwrap();
    assert_eq!(place.log(), ["after a's x", "before b's x"]);
    // It ended while nothing ran here.
    let hooks = place.hooks();
    assert!(hooks.is_due("bench"));
    place.end(&hooks).await.unwrap();
    place.end(&hooks).await.unwrap();
    assert_eq!(place.log(), ["after b's x"]);
    assert!(!hooks.is_due("bench"));
}

#[tokio::test]
async fn what_fails_lets_nobody_in_and_is_run_again() {
    let place = Place::new();
    let hooks = place.hooks();
    place.breaks("bad-before");
    let problem = place.begin(&hooks, "a").await.unwrap_err().to_string();
    assert_eq!(problem, "the command before a reservation failed with exit status 1");
    place.end(&hooks).await.unwrap();
    assert_eq!(place.log(), ["before a's x", "after a's x"], "after follows every before that was begun");
    place.mends("bad-before");
    place.begin(&hooks, "b").await.unwrap();
    place.breaks("bad-after");
    place.log();
    place.end(&hooks).await.unwrap_err();
    place.end(&hooks).await.unwrap();
    assert_eq!(place.log(), ["after b's x"], "it is not tried again as long as nobody wants the place");
    place.begin(&hooks, "c").await.unwrap_err();
    assert_eq!(place.log(), ["after b's x"]);
    place.mends("bad-after");
    place.begin(&hooks, "c").await.unwrap();
    assert_eq!(place.log(), ["after b's x", "before c's x"]);
}

#[tokio::test]
async fn whoever_has_it_already_is_not_disturbed_and_what_is_late_is_left() {
    let place = Place::new();
    let hooks = place.hooks();
    let tenant = Tenant { id: "a".to_owned(), holder: "ann".to_owned(), name: String::new() };
    hooks.begin("bench", &place.commands, &tenant, true, &Deaf).await.unwrap();
    hooks.end("bench", &place.commands, || false, &Deaf).await.unwrap();
    assert!(place.log().is_empty());
    place.end(&hooks).await.unwrap();
    assert_eq!(place.log(), ["after ann "]);
}

#[tokio::test]
async fn a_power_cycle_is_off_and_on_and_stops_where_one_fails() {
    let mut place = Place::new();
    let write = |word: &str| format!("echo {word} $NAVE_HOLDER $NAVE_RESERVATION_ID; test ! -e bad-{word}");
    place.commands.power = Some(Power {
        on: write("on"),
        off: write("off"),
        cycle: None,
        status: None,
        off_after: true,
        limit: Duration::from_mins(1),
    });
    let hooks = place.hooks();
    let power = async |command| hooks.power("bench", &place.commands, command, "ann", None, &Deaf).await;
    let cycle = power(PowerCommand::Cycle).await.unwrap();
    assert_eq!(
        (cycle.output.as_str(), cycle.outcome, cycle.occasion, cycle.holder.as_str()),
        ("off ann\non ann\n", Outcome::Done, Occasion::PowerCycle, "ann")
    );
    let none = power(PowerCommand::Status).await.unwrap_err().to_string();
    assert_eq!(none, "the description of bench has no `status` in [power]");
    place.breaks("bad-off");
    let cycle = power(PowerCommand::Cycle).await.unwrap();
    assert_eq!((cycle.output.as_str(), cycle.status), ("off ann\n", Some(1)));
    // It is switched off after each reservation, and that is one of the commands that must succeed.
    place.begin(&hooks, "a").await.unwrap();
    place.end(&hooks).await.unwrap_err();
    place.mends("bad-off");
    place.begin(&hooks, "b").await.unwrap();
    // One at a time.
    let turn = hooks.turn("bench");
    let _busy = turn.lock().await;
    let busy = power(PowerCommand::On).await.unwrap_err().to_string();
    assert_eq!(busy, "a command is running for bench already: try again when it has ended");
}

#[tokio::test]
async fn what_a_killed_exporter_left_behind_does_not_go_on_beside_its_successor() {
    let mut place = Place::new();
    place.commands.before = Some("echo $$ >> pids; test -e go || exec sleep 600".to_owned());
    let first = place.hooks();
    let pids = || fs::read_to_string(place.folder.path().join("pids")).unwrap_or_default();
    let running = async { place.begin(&first, "a").await };
    let successor = async {
        nave_testkit::wait::until("it runs", async || pids().ends_with('\n').then_some(())).await.unwrap();
        // What is written while it runs is what a killed exporter leaves.
        let file = place.folder.path().join("state/bench.json");
        nave_testkit::wait::until("it is noted", async || {
            fs::read_to_string(&file).is_ok_and(|text| text.contains("\"pid\"")).then_some(())
        })
        .await
        .unwrap();
        fs::write(place.folder.path().join("go"), "").unwrap();
        place.begin(&place.hooks(), "a").await
    };
    let (killed, ready) = tokio::join!(running, successor);
    let killed = killed.unwrap_err().to_string();
    assert_eq!(killed, "the command before a reservation was ended by a signal");
    ready.unwrap();
    assert_eq!(pids().lines().count(), 2);
}
