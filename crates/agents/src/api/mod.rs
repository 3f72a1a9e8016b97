//! What hub, hosts and command line agree on.
