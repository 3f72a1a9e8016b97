//! How a client checks the certificate that a hub serves: by an access key, which names the certificate, or not at
//! all, where the hub proves its key inside the connection. In both ways the handshake's own signature is verified:
//! the bytes of a certificate alone prove nothing.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::access_key::{AccessKey, Fingerprint, Prefix};

/// The certificate is not the one that the access key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// How the fingerprint should begin.
    pub expected: String,
    /// The fingerprint that was seen.
    pub seen: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the certificate there is not the one that the access key names.\n  expected: {}…\n  seen:     {}\nEither this is another hub, or its certificate was renewed (ask for the new access key), or someone is in between. Nothing was sent to it.",
            self.expected, self.seen
        )
    }
}

impl std::error::Error for Mismatch {}

/// The mismatch inside an error of a TLS handshake, if that is why it failed.
pub fn mismatch_of(error: &io::Error) -> Option<&Mismatch> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => other.downcast_ref(),
        _ => None,
    }
}

/// Whether a TLS handshake failed because the other end does not hold the key of the certificate that it showed.
pub fn is_forged(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    matches!(error, Some(Error::InvalidCertificate(CertificateError::BadSignature)))
}

/// TLS 1.3 that takes any certificate: for connections on which the hub proves its key inside.
pub fn by_key() -> Arc<ClientConfig> {
    static CONFIG: std::sync::OnceLock<Arc<ClientConfig>> = std::sync::OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| config(None)))
}

/// TLS 1.3 with the certificate that an access key names.
pub fn by_access_key(key: &AccessKey) -> Arc<ClientConfig> {
    config(Some(key.prefix().clone()))
}

/// TLS 1.3 with the certificate that a fingerprint, or the beginning of one, names.
pub fn by_fingerprint(prefix: Prefix) -> Arc<ClientConfig> {
    config(Some(prefix))
}

/// TLS 1.3 with a certificate for the hub's name that this machine's own authorities vouch for.
pub fn by_system() -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    // What cannot be read or understood vouches for nothing.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3's cipher suites")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Whether a TLS handshake failed because nobody vouches for the certificate under that name.
pub fn is_unknown(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    matches!(error, Some(Error::InvalidCertificate(problem)) if *problem != CertificateError::BadSignature)
}

fn config(pinned: Option<Prefix>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier { pinned, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3's cipher suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // Upgrades to WebSockets and raw bytes are HTTP/1.1's.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Accepts the pinned certificate, or any; and only from whoever holds its key.
#[derive(Debug)]
struct Verifier {
    pinned: Option<Prefix>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pinned) = &self.pinned {
            let seen = Fingerprint::of(end_entity);
            if !pinned.matches(&seen) {
                let mismatch = Mismatch { expected: pinned.to_string(), seen: seen.to_string() };
                return Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
