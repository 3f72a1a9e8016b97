//! A certificate with its private key, checked before it is used: they are a pair, in force, and readable only by
//! whom they should be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_link::access_key::Fingerprint;
use nave_link::secret_file;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::IdentityError;

/// An identity for TLS.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// `self`, `ca` or `files`.
    pub name: String,
    /// What rustls serves.
    pub certified: Arc<CertifiedKey>,
    /// Of the certificate itself.
    pub fingerprint: Fingerprint,
    /// When it ends.
    pub not_after: OffsetDateTime,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// The certificate's file.
    pub certificate: PathBuf,
}

impl TlsIdentity {
    /// Reads the validity and the names of the first certificate in a PEM text.
    pub fn inspect(pem: &[u8]) -> Result<(OffsetDateTime, OffsetDateTime, Vec<String>), IdentityError> {
        let path = Path::new("certificate");
        let certificate = CertificateDer::from_pem_slice(pem)
            .map_err(|error| IdentityError::unusable(path, format!("no certificate in PEM ({error})")))?;
        read_leaf(path, &certificate)
    }

    /// Reads a pair of PEM files: the certificate with its chain, the leaf first, and the private key. `credentials` is
    /// systemd's folder of credentials, if there is one.
    pub fn load(
        name: &str,
        certificate: &Path,
        key: &Path,
        credentials: Option<&Path>,
        now: OffsetDateTime,
    ) -> Result<Self, IdentityError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|error| {
                IdentityError::unusable(certificate, format!("no certificates in PEM ({error})"))
            })?;
        let leaf = chain.first().ok_or_else(|| {
            IdentityError::unusable(
                certificate,
                "it holds no certificate: it must be PEM, the hub's own certificate first",
            )
        })?;
        let pem = secret_file::read_private(key, credentials)?;
        let private = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| IdentityError::unusable(key, format!("no private key in PEM ({error})")))?;
        let signer = aws_lc_rs::sign::any_supported_type(&private)
            .map_err(|error| IdentityError::unusable(key, format!("{error}: use RSA, ECDSA or Ed25519")))?;
        let fingerprint = Fingerprint::of(leaf);
        let (not_before, not_after, names) = read_leaf(certificate, leaf)?;
        if now < not_before {
            return Err(IdentityError::unusable(
                certificate,
                format!(
                    "it is good only from {not_before} on, and this machine's clock says {now}: check the clock first"
                ),
            ));
        }
        if now >= not_after {
            return Err(IdentityError::unusable(
                certificate,
                format!(
                    "it expired on {not_after} (this machine's clock says {now}): check the clock, then renew it{}",
                    if name == "self" {
                        ", or remove both files of the pair to make a new one; clients with an access key then need the new one"
                    } else {
                        ""
                    }
                ),
            ));
        }
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|_| {
            IdentityError::unusable(
                certificate,
                format!("it does not belong to the private key in {}", key.display()),
            )
        })?;
        let name = name.to_owned();
        Ok(Self {
            name,
            certified: Arc::new(certified),
            fingerprint,
            not_after,
            names,
            certificate: certificate.to_owned(),
        })
    }
}

type Leaf = (OffsetDateTime, OffsetDateTime, Vec<String>);

fn read_leaf(path: &Path, der: &CertificateDer<'_>) -> Result<Leaf, IdentityError> {
    let (_, leaf) = X509Certificate::from_der(der).map_err(|error| {
        IdentityError::unusable(path, format!("the certificate cannot be read ({error})"))
    })?;
    let names =
        leaf.subject_alternative_name().ok().flatten().map_or_else(Vec::new, |names| {
            names.value.general_names.iter().map(ToString::to_string).collect()
        });
    Ok((leaf.validity().not_before.to_datetime(), leaf.validity().not_after.to_datetime(), names))
}
