//! The TLS identities that listeners show, by name, each replaceable while the hub runs. Where certificates come
//! from is not known here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// Name → what a new handshake shows. Cloning it is cheap; all clones are one.
#[derive(Clone, Default)]
pub struct Identities(Arc<RwLock<BTreeMap<String, Arc<ServerConfig>>>>);

impl Identities {
    /// No identities yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or replaces an identity: handshakes from now on show `certified`, live connections stay.
    ///
    /// # Errors
    ///
    /// When the cryptographic library cannot be set up; what was there before stays.
    pub fn set(&self, name: impl Into<String>, certified: Arc<CertifiedKey>) -> Result<(), rustls::Error> {
        let config = Arc::new(server_config(certified)?);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.into(), config);
        Ok(())
    }

    /// What a handshake under that name shows now.
    pub fn current(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The names that are set.
    pub fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Tickets are sealed under keys of this configuration, so that none outlives the certificate it was given under.
fn server_config(certified: Arc<CertifiedKey>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}
