//! The identities that listeners serve, exchangeable while they run.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

/// Identities by name. New handshakes see the newest certificate; connections that stand are left alone.
#[derive(Debug, Default)]
pub struct Identities {
    current: RwLock<HashMap<String, Arc<ServerConfig>>>,
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl Identities {
    /// Puts an identity in, or in the place of an earlier one.
    pub fn set(&self, name: &str, certified: Arc<CertifiedKey>) {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has cipher suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(certified)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.insert(name.to_owned(), Arc::new(config));
    }

    /// What to serve now.
    pub fn get(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
