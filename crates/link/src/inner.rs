//! TLS 1.3 between two nodes inside a stream, whichever path its bytes take: both ends show their Ed25519 keys
//! as raw public keys (RFC 7250), so that there is no certificate to make, renew or trust.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::key::{PublicKey, SecretKey};

/// The first byte inside the TLS, before the stream's id: the version of what follows.
const PREAMBLE_VERSION: u8 = 1;
const MAX_STREAM_ID: usize = 64;
/// What the asked node answers on the path that it takes.
const CONFIRMED: u8 = 1;

/// Why two nodes could not meet inside a stream.
#[derive(Debug, thiserror::Error)]
pub enum InnerError {
    /// TLS failed; among other things because the other end does not hold the key that was named.
    #[error("the other node could not prove its key: {0}")]
    Tls(#[source] std::io::Error),
    /// The other end asked for a stream that was not offered to it.
    #[error("the other node asked for a stream that was not offered to it")]
    Stream,
}

/// Opens the inner TLS as the node that asked for the stream; `peer` is the other node's key.
pub async fn connect<S>(
    io: S,
    key: &SecretKey,
    peer: PublicKey,
    stream: &str,
) -> Result<TlsStream<S>, InnerError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Expect::new(Some(peer), &provider)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(
            key, &provider,
        )?)));
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from("node").expect("a plain word is a DNS name");
    let mut io = TlsConnector::from(Arc::new(config)).connect(name, io).await.map_err(InnerError::Tls)?;
    let mut preamble = vec![PREAMBLE_VERSION, u8::try_from(stream.len()).map_err(|_| InnerError::Stream)?];
    preamble.extend_from_slice(stream.as_bytes());
    io.write_all(&preamble).await.map_err(InnerError::Tls)?;
    io.flush().await.map_err(InnerError::Tls)?;
    // Several paths may get this far; the other node says on which one it will speak.
    match io.read_u8().await.map_err(InnerError::Tls)? {
        CONFIRMED => Ok(io.into()),
        _ => Err(InnerError::Stream),
    }
}

/// Tells the node that asked that this is the path on which its stream runs.
pub async fn confirm<S>(io: &mut TlsStream<S>) -> Result<(), InnerError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    io.write_u8(CONFIRMED).await.map_err(InnerError::Tls)?;
    io.flush().await.map_err(InnerError::Tls)
}

/// Opens the inner TLS as the node that was asked. Returns the stream's id and the key that the other end proved;
/// the caller compares both with what was offered, then [`confirm`]s before it lets a byte pass.
pub async fn accept<S>(io: S, key: &SecretKey) -> Result<(TlsStream<S>, String, PublicKey), InnerError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(tls)?
        .with_client_cert_verifier(Arc::new(Expect::new(None, &provider)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(key, &provider)?)));
    config.send_tls13_tickets = 0;
    let mut io = TlsAcceptor::from(Arc::new(config)).accept(io).await.map_err(InnerError::Tls)?;
    let peer = io
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|spki| PublicKey::from_spki(spki));
    let Some(Ok(peer)) = peer else { return Err(InnerError::Stream) };
    let mut head = [0; 2];
    io.read_exact(&mut head).await.map_err(InnerError::Tls)?;
    let length = usize::from(head[1]);
    if head[0] != PREAMBLE_VERSION || length > MAX_STREAM_ID {
        return Err(InnerError::Stream);
    }
    let mut stream = vec![0; length];
    io.read_exact(&mut stream).await.map_err(InnerError::Tls)?;
    let stream = String::from_utf8(stream).map_err(|_| InnerError::Stream)?;
    Ok((io.into(), stream, peer))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn tls(error: Error) -> InnerError {
    InnerError::Tls(std::io::Error::other(error))
}

fn certified(key: &SecretKey, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, InnerError> {
    let pkcs8 = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()));
    let signer = provider.key_provider.load_private_key(pkcs8).map_err(tls)?;
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(key.public().to_spki())], signer)))
}

/// Accepts a raw Ed25519 key that is the expected one, if there is one, and whose owner signed the handshake.
#[derive(Debug)]
struct Expect {
    peer: Option<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Expect {
    fn new(peer: Option<PublicKey>, provider: &CryptoProvider) -> Self {
        Self { peer, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, spki: &CertificateDer<'_>) -> Result<(), Error> {
        let seen = PublicKey::from_spki(spki).map_err(|_| CertificateError::BadEncoding)?;
        match self.peer {
            Some(expected) if expected != seen => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signature, &self.algorithms)
    }
}

impl ServerCertVerifier for Expect {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken between nodes".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Expect {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken between nodes".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    async fn meet(
        expected: fn(&SecretKey, &SecretKey) -> PublicKey,
    ) -> anyhow::Result<(String, PublicKey, PublicKey)> {
        let random = Random::seeded(1);
        let (asking, asked) = (SecretKey::generate(&random), SecretKey::generate(&random));
        let (near, far) = tokio::io::duplex(64 << 10);
        let (connected, accepted) =
            tokio::join!(connect(near, &asking, expected(&asking, &asked), "stream-1"), async {
                let (mut io, stream, peer) = accept(far, &asked).await?;
                confirm(&mut io).await?;
                Ok::<_, InnerError>((stream, peer))
            });
        connected?;
        let (stream, peer) = accepted?;
        Ok((stream, peer, asking.public()))
    }

    #[tokio::test]
    async fn both_ends_prove_their_keys() {
        let (stream, proved, asking) = meet(|_, asked| asked.public()).await.unwrap();
        assert_eq!(stream, "stream-1");
        assert_eq!(proved, asking);
    }

    #[tokio::test]
    async fn another_key_than_the_expected_one_is_refused() {
        let error = meet(|asking, _| asking.public()).await.unwrap_err();
        assert!(error.to_string().contains("could not prove its key"), "{error}");
    }
}
