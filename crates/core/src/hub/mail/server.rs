//! The server that takes the hub's mail: its settings, and the files that they name. No mail is known here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use nave_link::address::Target;
use nave_link::secret_file::{self, SecretFileError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::config::{MailTable, MailTls};

/// How long one mail may take unless it is configured.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why mail cannot be sent with what the files hold.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The password's file cannot be used.
    #[error("mail.password_file: {0}")]
    Password(#[from] SecretFileError),
    /// The password's file holds none.
    #[error("mail.password_file: {0} is empty: write the password of mail.user into it")]
    NoPassword(PathBuf),
    /// The authority's file cannot be used.
    #[error("mail.ca: {path}: {problem}: it must hold an authority's certificate in PEM")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS cannot be spoken at all.
    #[error("TLS to the mail server: {0}")]
    Tls(#[from] rustls::Error),
}

/// A mail server that is configured.
#[derive(Clone, Debug)]
pub struct MailServer {
    table: MailTable,
    credentials: Option<PathBuf>,
}

/// What a connection needs from the files: how TLS is checked, and whom to sign in as.
pub(super) type Opened = (Arc<ClientConfig>, Option<Credentials>);

impl MailServer {
    /// From the configuration, once the files that it names turned out to be good. `credentials` is systemd's folder of
    /// credentials, if there is one.
    pub fn new(table: MailTable, credentials: Option<&Path>) -> Result<Self, MailError> {
        let server = Self { table, credentials: credentials.map(Path::to_owned) };
        server.open()?;
        Ok(server)
    }

    /// Its address.
    pub fn address(&self) -> &Target {
        &self.table.server
    }

    /// How a connection is protected.
    pub(super) fn tls(&self) -> MailTls {
        self.table.tls
    }

    /// The sender.
    pub(super) fn from(&self) -> &Mailbox {
        &self.table.from.0
    }

    /// How long one mail may take.
    pub(super) fn patience(&self) -> Duration {
        self.table.timeout.map_or(PATIENCE, |timeout| timeout.0)
    }

    /// Reads the files. It is done for every connection, so that what is replaced in them holds from the next mail on.
    pub(super) fn open(&self) -> Result<Opened, MailError> {
        let roots = match &self.table.ca {
            Some(path) => authority(path)?,
            None => trusted_by_the_system(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let credentials = match (&self.table.user, &self.table.password_file) {
            (Some(user), Some(file)) => {
                let password = secret_file::read_private(file, self.credentials.as_deref())?;
                let password = password.trim_end_matches(['\r', '\n']);
                if password.is_empty() {
                    return Err(MailError::NoPassword(file.clone()));
                }
                Some(Credentials::new(user.clone(), password.to_owned()))
            }
            _ => None,
        };
        Ok((Arc::new(tls), credentials))
    }
}

fn authority(path: &Path) -> Result<RootCertStore, MailError> {
    let unusable = |problem: String| MailError::Authority { path: path.to_owned(), problem };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

/// What cannot be read there is left out: then it is not trusted.
fn trusted_by_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
