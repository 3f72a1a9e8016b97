//! What both ends of a Nave connection agree on: keys, certificates, tokens, framing, reconnect. It depends on
//! no other crate of ours and knows neither database nor web framework.

pub mod access_key;
pub mod address;
pub mod certificate;
pub mod dial;
pub mod handshake;
pub mod inner;
pub mod key;
pub mod pipe;
pub mod proof;
pub mod protocol;
pub mod random;
pub mod rpc;
pub mod secret_file;
pub mod token;
