//! What both ends of a Nave connection agree on: keys, certificates, tokens, framing, reconnect. It depends on
//! no other crate of ours and knows neither database nor web framework.

pub mod key;
pub mod proof;
pub mod random;
