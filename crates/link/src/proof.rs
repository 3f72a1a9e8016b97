//! The signature by which hub and node prove their keys on one TLS connection: it covers the connection's
//! exporter (RFC 9266 style), so that a recording of it is worth nothing on any other connection.

use rustls::ConnectionCommon;

use crate::key::{PublicKey, SecretKey, Signature};

const CONTEXT: &[u8] = b"nave-link/1";
const EXPORTER_LABEL: &[u8] = b"EXPORTER-nave-link-1";

/// Keying material that only the two ends of one TLS 1.3 connection can compute: 32 bytes.
#[derive(Clone, Copy)]
pub struct Exporter([u8; 32]);

impl Exporter {
    /// Takes the exporter from a connection whose handshake is complete; `None` unless it speaks TLS 1.3
    /// (TLS 1.2's exporter does not cover the whole handshake).
    pub fn of<T>(connection: &ConnectionCommon<T>) -> Option<Self> {
        if connection.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return None;
        }
        connection.export_keying_material([0; 32], EXPORTER_LABEL, None).ok().map(Self)
    }

    /// An exporter from bytes, for tests of what is built on it.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter(..)")
    }
}

/// What a signature is for; each role's signature is useless in any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The hub, on any connection.
    Hub,
    /// A node, on its control connection.
    Link,
    /// A node, on a stream's connection.
    Stream,
    /// A node, on a connection to the native API.
    Api,
}

impl Role {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Hub => b"hub",
            Self::Link => b"node",
            Self::Stream => b"stream",
            Self::Api => b"api",
        }
    }
}

/// The two keys and the connection that a proof speaks about.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The hub's key.
    pub hub: PublicKey,
    /// The node's key.
    pub node: PublicKey,
    /// The connection.
    pub exporter: Exporter,
}

impl Connection {
    /// Signs this connection in a role.
    pub fn sign(&self, role: Role, key: &SecretKey) -> Signature {
        key.sign(&self.message(role))
    }

    /// Whether the party of that role (the hub's key for [`Role::Hub`], else the node's) signed this connection.
    pub fn verify(&self, role: Role, signature: &Signature) -> bool {
        let signer = if role == Role::Hub { &self.hub } else { &self.node };
        signer.verify(&self.message(role), signature)
    }

    /// `nave-link/1 ‖ role ‖ hub key ‖ node key ‖ exporter`, each part after its length in one byte, so that no
    /// two different connections make the same text.
    fn message(&self, role: Role) -> Vec<u8> {
        let parts = [CONTEXT, role.word(), self.hub.as_bytes(), self.node.as_bytes(), &self.exporter.0];
        let mut message = Vec::with_capacity(128);
        for part in parts {
            message.push(u8::try_from(part.len()).expect("every part is at most 32 bytes long"));
            message.extend_from_slice(part);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_proof_holds_for_its_role_and_its_connection_only() {
        let random = Random::seeded(1);
        let (hub, node) = (SecretKey::generate(&random), SecretKey::generate(&random));
        let here =
            Connection { hub: hub.public(), node: node.public(), exporter: Exporter::from_bytes([7; 32]) };
        let there = Connection { exporter: Exporter::from_bytes([8; 32]), ..here };

        let signature = here.sign(Role::Link, &node);
        assert!(here.verify(Role::Link, &signature));
        assert!(!here.verify(Role::Stream, &signature), "another role");
        assert!(!here.verify(Role::Hub, &signature), "the other party");
        assert!(!there.verify(Role::Link, &signature), "replayed on another connection");
    }
}
