//! The node's half: what exporters and agents do with the hardware itself. No database and no web server.

pub mod usb;
