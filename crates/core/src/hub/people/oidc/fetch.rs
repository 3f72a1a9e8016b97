//! How the hub asks a provider: over TLS, in time, and no more than it can hold.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::url::Url;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::config::{is_loopback, is_safe};

/// For a whole answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// Asks providers.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    client: reqwest::Client,
}

/// Why a provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The network, TLS, or what came over them.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// It says itself that it is out of order.
    #[error("{0} answers with {1}")]
    OutOfOrder(Url, http::StatusCode),
    /// Its answer has no end.
    #[error("the answer of {0} is longer than {LONGEST_ANSWER} bytes")]
    TooLong(Url),
    /// It names an address that everybody on the way can read.
    #[error("{0} is not safe: it must be https://…; http:// only on this machine")]
    Unsafe(String),
}

/// Why the hub cannot ask a provider at all.
#[derive(Debug, thiserror::Error)]
pub enum FetchSetupError {
    /// The file of the authority.
    #[error("{path}: {reason}")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl FetchError {
    /// Whether something came, but nothing that could be read.
    pub(super) fn is_garbage(&self) -> bool {
        let error = match self {
            Self::Http(error) => error,
            Self::OutOfOrder(..) => return false,
            Self::TooLong(_) | Self::Unsafe(_) => return true,
        };
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return true;
            }
            source = cause.source();
        }
        false
    }
}

impl Fetch {
    /// For one provider; with `ca`, only certificates of that authority are believed.
    pub(super) fn new(issuer: &Url, ca: Option<&Path>) -> Result<Self, FetchSetupError> {
        let roots = match ca {
            Some(path) => authority(path)?,
            None => system_authorities(),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LONGEST_WAIT);
        // What is on this machine is not asked for through a proxy.
        let client = if is_loopback(issuer) { client.no_proxy() } else { client };
        Ok(Self { client: client.build()? })
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let url: Url =
            request.uri().to_string().parse().map_err(|_| FetchError::Unsafe(request.uri().to_string()))?;
        if !is_safe(&url) {
            return Err(FetchError::Unsafe(url.to_string()));
        }
        let mut response = self.client.execute(request.try_into()?).await?;
        if response.status().is_server_error() {
            return Err(FetchError::OutOfOrder(url, response.status()));
        }
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = response.status();
        answer.headers_mut().extend(response.headers().clone());
        while let Some(chunk) = response.chunk().await? {
            if answer.body().len() + chunk.len() > LONGEST_ANSWER {
                return Err(FetchError::TooLong(url));
            }
            answer.body_mut().extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Fetch {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.answer(request))
    }
}

fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What cannot be read or understood vouches for nothing.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn authority(path: &Path) -> Result<RootCertStore, FetchSetupError> {
    let bad = |reason: String| FetchSetupError::Authority { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in it: it must be PEM".to_owned()));
    }
    Ok(roots)
}
