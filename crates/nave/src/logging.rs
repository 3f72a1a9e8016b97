//! The log: lines for a person on a terminal, JSON otherwise. It goes to stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts the log. `NAVE_LOG` chooses what is logged (`info`, `nave_core=debug`, …); `default` is used without it.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_env("NAVE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, in a test, changes nothing.
    let _ = if std::io::stderr().is_terminal() {
        log.with_target(false).compact().try_init()
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
}
