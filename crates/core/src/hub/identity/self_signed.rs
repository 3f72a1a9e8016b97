//! Identity `self`: a certificate that the hub signs itself at its first start. Clients check it by the access key,
//! so it must not change by itself.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use nave_link::secret_file;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    RsaKeySize,
};
use time::OffsetDateTime;

use super::{IdentityError, TlsIdentity};

const KEY: &str = "hub-key.pem";
const CERTIFICATE: &str = "hub-cert.pem";
/// The certificate until its key is there.
const PENDING: &str = "hub-cert.pem.pending";
/// Ten years.
const VALIDITY: Duration = Duration::from_hours(87600);
/// Clocks of clients run a little behind.
const CLOCK_SKEW: Duration = Duration::from_hours(24);

/// The kind of private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// RSA with 2048 bits, which every client knows.
    #[default]
    Rsa2048,
    /// ECDSA on P-256: smaller and faster.
    EcdsaP256,
}

/// Loads the pair in `cert/`, or makes it if neither file is there.
pub fn load_or_make(folder: &Path, kind: KeyKind, now: OffsetDateTime) -> Result<TlsIdentity, IdentityError> {
    let (key, certificate) = (folder.join(KEY), folder.join(CERTIFICATE));
    let pending = folder.join(PENDING);
    if pending.exists() && key.exists() && !certificate.exists() {
        // The power went after the key was written: only the certificate's name is missing.
        secret_file::take_name(&pending, &certificate)?;
    }
    match (key.exists(), certificate.exists()) {
        (true, true) => {}
        (false, false) => make(&key, &certificate, &pending, kind, now)?,
        (true, false) => {
            return Err(IdentityError::unusable(
                certificate,
                format!(
                    "it is missing, but its private key {} is there: restore it from a backup, or remove the key too to make a new identity; clients with an access key then need the new one",
                    key.display()
                ),
            ));
        }
        (false, true) => {
            return Err(IdentityError::unusable(
                key,
                format!(
                    "it is missing, but its certificate {} is there: restore it from a backup, or remove the certificate too to make a new identity; clients with an access key then need the new one",
                    certificate.display()
                ),
            ));
        }
    }
    TlsIdentity::load("self", &certificate, &key, None, now)
}

fn make(
    key: &Path,
    certificate: &Path,
    pending: &Path,
    kind: KeyKind,
    now: OffsetDateTime,
) -> Result<(), IdentityError> {
    let failed =
        |error: rcgen::Error| IdentityError::unusable(certificate, format!("it cannot be made ({error})"));
    let pair = match kind {
        KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyKind::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
    }
    .map_err(failed)?;
    let host = host_name();
    let mut names = vec![host.clone(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(crate::machine::own_addresses().iter().map(ToString::to_string));
    names.dedup();
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host);
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + VALIDITY;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let signed = params.self_signed(&pair).map_err(failed)?;
    // In this order there is no moment at which a key stands without a certificate that belongs to it: a start that
    // finds the key alone finishes with the pending one.
    secret_file::replace(pending, signed.pem().as_bytes(), 0o644)?;
    secret_file::create(key, pair.serialize_pem().as_bytes(), 0o600)?;
    Ok(secret_file::take_name(pending, certificate)?)
}

/// The machine's name, as far as it can stand in a certificate.
fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let plain = !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    if plain && name.parse::<IpAddr>().is_err() { name.to_ascii_lowercase() } else { "localhost".to_owned() }
}
