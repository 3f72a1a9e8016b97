//! Someone in between, or something else than a hub at the other end.

use std::sync::Arc;

use nave_core::hub::identity::{self, KeyKind};
use nave_core::node::{Invitation, JoinError};
use nave_link::address::HubUrl;
use nave_link::certificate;
use nave_link::dial::{self, DialError};
use nave_link::handshake::HandshakeError;
use nave_link::random::Random;
use nave_testkit::hub::TestHub;
use nave_testkit::node::TestNode;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A machine in between that ends TLS with what it shows, and passes the bytes on to the hub in TLS of its own.
async fn between(hub: &TestHub, shows: Arc<CertifiedKey>) -> anyhow::Result<HubUrl> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(shows)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = HubUrl::new("127.0.0.1", listener.local_addr()?.port());
    let (acceptor, address) = (TlsAcceptor::from(Arc::new(config)), hub.address());
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut near = acceptor.accept(io).await?;
                let io = TcpStream::connect(address).await?;
                let name = rustls::pki_types::ServerName::try_from("hub").unwrap();
                let mut far = TlsConnector::from(certificate::by_key()).connect(name, io).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    Ok(url)
}

fn another_certificate() -> Arc<CertifiedKey> {
    let folder = tempfile::tempdir().unwrap();
    let now = nave_core::clock::Clock::system().now();
    identity::self_signed(folder.path(), KeyKind::EcdsaP256, now).unwrap().certified
}

#[tokio::test]
async fn a_proxy_that_ends_tls_is_noticed_before_the_token_is_shown() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let token = hub.invite("lab", &[]).await?;
    let data = tempfile::tempdir()?;
    let mut request = TestNode::request(data.path(), &hub, Invitation::Token(token.clone()), &[])?;
    request.url = between(&hub, another_certificate()).await?;
    let error = nave_core::node::join(request.clone(), &Random::system(), |_| {}).await.unwrap_err();
    assert!(matches!(error, JoinError::Handshake(HandshakeError::Intercepted)), "{error}");
    assert!(error.to_string().contains("ends TLS"), "{error}");
    request.url = hub.url();
    nave_core::node::join(request, &Random::system(), |_| {}).await.expect("the token was not shown to it");
    Ok(())
}

#[tokio::test]
async fn the_hubs_certificate_without_its_key_convinces_nobody() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let own = hub.hub().identities.read().unwrap()[0].certified.clone();
    let replayed = CertifiedKey::new(own.cert.clone(), another_certificate().key.clone());
    let url = between(&hub, Arc::new(replayed)).await?;
    let key = identity::show(&hub.operator(), hub.hub(), true).await?.parse()?;
    let error = dial::dial(&url, certificate::by_access_key(&key)).await.expect_err("it is refused");
    // The prefix fits, so that only the handshake's signature can tell.
    assert!(matches!(error, DialError::Forged { .. }) && !error.is_passing(), "{error}");
    dial::dial(&hub.url(), certificate::by_access_key(&key)).await?;
    Ok(())
}

#[tokio::test]
async fn another_certificate_is_told_from_the_one_that_the_key_names() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let url = between(&hub, another_certificate()).await?;
    let key = identity::show(&hub.operator(), hub.hub(), false).await?;
    let error = dial::dial(&url, certificate::by_access_key(&key.parse()?)).await.expect_err("it is refused");
    assert!(matches!(error, DialError::WrongHub { .. }) && !error.is_passing(), "{error}");
    for part in ["expected:", "seen:", "another hub", "renewed", "in between", &key[..16]] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert!(!error.to_string().contains(&key[17..]), "it prints the secret");
    Ok(())
}
