//! How a client checks the certificate that a hub serves: by an access key, which names the certificate, or not at
//! all, where the hub proves its key inside the connection. In both ways the handshake's own signature is verified:
//! the bytes of a certificate alone prove nothing.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
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

/// TLS with a certificate for the server's name that this machine's own authorities vouch for, or those in `files` (PEM);
/// a certificate in `files` that a server shows itself is taken too, whatever it says of its use. Older servers may speak
/// TLS 1.2: this is for the hubs of others, and for what stands beside them.
///
/// # Errors
///
/// When a file cannot be read, or holds no certificate; the path is part of the error.
pub fn by_authorities(files: &[PathBuf]) -> io::Result<Arc<ClientConfig>> {
    let mut named = Vec::new();
    for path in files {
        let failed = |error: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        };
        let before = named.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            named.push(certificate.map_err(|error| failed(error.to_string()))?);
        }
        if named.len() == before {
            return Err(failed("there is no certificate in it".to_owned()));
        }
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(named.clone());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of TLS 1.2 and 1.3");
    let mut config = if roots.is_empty() {
        // Nobody is trusted: a verifier cannot be built of that.
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(io::Error::other)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Vouched { chains, named }))
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Accepts whom an authority vouches for, and the very certificates that were named: `openssl req -x509` writes ones that
/// call themselves authorities, and people name those.
#[derive(Debug)]
struct Vouched {
    chains: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Vouched {
    /// Whether a certificate that was named is for this server, now.
    fn is_named(&self, shown: &CertificateDer<'_>, server: &ServerName<'_>, now: UnixTime) -> bool {
        let valid = x509_parser::parse_x509_certificate(shown).is_ok_and(|(_, certificate)| {
            let validity = certificate.validity();
            i64::try_from(now.as_secs()).is_ok_and(|now| {
                (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
            })
        });
        valid
            && self.named.iter().any(|named| named.as_ref() == shown.as_ref())
            && rustls::server::ParsedCertificate::try_from(shown)
                .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, server).is_ok())
    }
}

impl ServerCertVerifier for Vouched {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let vouched =
            self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if vouched.is_err() && self.is_named(end_entity, server_name, now) {
            return Ok(ServerCertVerified::assertion());
        }
        vouched
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
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

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A certificate that signed itself, and whether it calls itself an authority.
    fn self_signed(is_ca: bool, years: [i32; 2]) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(["hub.test".to_owned()]).unwrap();
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        let [from, to] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
        (params.not_before, params.not_after) = (from, to);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), key)
    }

    /// Whether a client that trusts `named` takes a server that shows a certificate under this name.
    async fn takes(named: &[PathBuf], shown: &(rcgen::Certificate, KeyPair), name: &str) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(shown.1.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown.0.der().clone()], key)
            .unwrap();
        let (near, far) = tokio::io::duplex(16 << 10);
        let client = TlsConnector::from(by_authorities(named).unwrap());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let (client, _) =
            tokio::join!(client.connect(name, near), TlsAcceptor::from(Arc::new(server)).accept(far));
        client.is_ok()
    }

    #[tokio::test]
    async fn a_certificate_that_was_named_is_taken_under_its_name_and_in_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, certificate: &rcgen::Certificate| {
            let path = folder.path().join(name);
            std::fs::write(&path, certificate.pem()).unwrap();
            path
        };
        let other = self_signed(true, [2020, 2090]);
        let other = file("other.pem", &other.0);
        for is_ca in [false, true] {
            let good = self_signed(is_ca, [2020, 2090]);
            let named = file("good.pem", &good.0);
            assert!(takes(std::slice::from_ref(&named), &good, "hub.test").await, "{is_ca}");
            assert!(!takes(&[named], &good, "else.test").await, "{is_ca}");
            assert!(!takes(std::slice::from_ref(&other), &good, "hub.test").await, "{is_ca}");
            let old = self_signed(is_ca, [2020, 2021]);
            assert!(!takes(&[file("old.pem", &old.0)], &old, "hub.test").await, "{is_ca}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        std::fs::write(&path, "").unwrap();
        for path in [path, folder.path().join("none.pem")] {
            let error = by_authorities(std::slice::from_ref(&path)).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
