//! A private certificate authority, for clients that verify names instead of pinning a certificate.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nave_link::secret_file;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use super::IdentityError;

/// Clocks of clients run a little behind.
const CLOCK_SKEW: Duration = Duration::from_hours(24);
/// The validity unless another is asked for.
pub const DEFAULT_DAYS: u32 = 365_000;

/// Where distributions keep certificates that the machine's owner trusts, and what makes a change known.
const TRUST_STORES: [(&str, &str); 2] = [
    ("/usr/local/share/ca-certificates", "update-ca-certificates"),
    ("/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
];

/// The root's certificate below the data folder.
pub fn root_certificate(folder: &Path) -> PathBuf {
    folder.join("ca").join("root-cert.pem")
}

fn root_key(folder: &Path) -> PathBuf {
    folder.join("ca").join("root-key.pem")
}

/// The certificate (with its chain) and the key that were issued for a host.
pub fn issued(folder: &Path, host: &str) -> (PathBuf, PathBuf) {
    let folder = folder.join("ca").join(host.replace(['/', ':'], "_"));
    (folder.join("cert.pem"), folder.join("key.pem"))
}

/// Makes the root: a P-384 key and a certificate that is good for `days`.
pub fn init(folder: &Path, days: u32, now: OffsetDateTime) -> Result<PathBuf, IdentityError> {
    let (certificate, key) = (root_certificate(folder), root_key(folder));
    if certificate.exists() {
        return Err(IdentityError::unusable(
            certificate,
            "there is an authority already: `nave ca issue HOST` uses it; remove the folder to make another, which every client must then trust anew",
        ));
    }
    secret_file::create_private_dir(&folder.join("ca"))?;
    let failed = failed_at(&certificate);
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Nave private CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Python 3.13 and newer refuse a root without keyUsage.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(days, now);
    let signed = params.self_signed(&pair).map_err(failed_at(&certificate))?;
    secret_file::create(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    if let Err(error) = secret_file::create(&certificate, signed.pem().as_bytes(), 0o644) {
        // A key without its certificate would stand in the way of the next attempt.
        let _ = fs::remove_file(&key);
        return Err(error.into());
    }
    Ok(certificate)
}

/// Issues a P-256 certificate for a host name (and the names below it) or an address. `forget_root_key` removes the
/// root's key afterwards, so that nobody can ever issue another.
pub fn issue(
    folder: &Path,
    host: &str,
    days: u32,
    forget_root_key: bool,
    now: OffsetDateTime,
) -> Result<(PathBuf, PathBuf), IdentityError> {
    let (certificate, key) = issued(folder, host);
    if certificate.exists() {
        return Err(IdentityError::unusable(
            certificate,
            "there is a certificate for that host already: to replace it and its key, remove both files first, then restart the hub that serves them",
        ));
    }
    let root = root_certificate(folder);
    let root_pem = fs::read_to_string(&root).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            IdentityError::unusable(&root, "there is no authority yet: run `nave ca init` first")
        }
        _ => IdentityError::Io { path: root.clone(), source },
    })?;
    let root_key_pem = secret_file::read_private(&root_key(folder), None).map_err(|error| {
        if error.is_missing() {
            IdentityError::unusable(root_key(folder), "the root's key was forgotten: nothing can be issued any more; remove the folder to begin anew")
        } else {
            error.into()
        }
    })?;
    let root_pair = KeyPair::from_pem(&root_key_pem).map_err(failed_at(&root_key(folder)))?;
    let issuer = Issuer::from_ca_cert_pem(&root_pem, root_pair).map_err(failed_at(&root))?;

    let failed = failed_at(&certificate);
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name(host);
    params.subject_alt_names = alternative_names(&certificate, host)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict verification demands it.
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(days, now);
    let signed = params.signed_by(&pair, &issuer).map_err(failed_at(&certificate))?;
    secret_file::create_private_dir(certificate.parent().unwrap_or(folder))?;
    let chain = format!("{}{root_pem}", signed.pem());
    secret_file::replace(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    secret_file::replace(&certificate, chain.as_bytes(), 0o644)?;
    if forget_root_key {
        let path = root_key(folder);
        fs::remove_file(&path).map_err(|source| IdentityError::Io { path, source })?;
    }
    Ok((certificate, key))
}

/// Makes this machine trust a certificate: copies it into the system's store under `label`. Returns where it now lies
/// and which program made it known.
pub fn trust(certificate: &Path, label: &str) -> Result<(PathBuf, &'static str), IdentityError> {
    let pem =
        fs::read(certificate).map_err(|source| IdentityError::Io { path: certificate.to_owned(), source })?;
    let Some((store, program)) = TRUST_STORES.iter().find(|(store, _)| Path::new(store).is_dir()) else {
        return Err(IdentityError::unusable(
            certificate,
            "this system keeps its trusted certificates in a place that nave does not know: import the file by hand",
        ));
    };
    let installed = Path::new(store).join(format!("nave-{label}.crt"));
    secret_file::replace(&installed, &pem, 0o644)?;
    let status = Command::new(program).output();
    match status {
        Ok(output) if output.status.success() => Ok((installed, program)),
        Ok(output) => Err(IdentityError::unusable(
            installed,
            format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
        )),
        Err(source) => Err(IdentityError::Io { path: PathBuf::from(program), source }),
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // The field holds at most 64 characters; the names that count are the alternative ones.
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

fn alternative_names(path: &Path, host: &str) -> Result<Vec<SanType>, IdentityError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SanType::IpAddress(address)]);
    }
    let plain = !host.is_empty()
        && host.len() <= 251
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    if !plain || host.starts_with('.') || host.ends_with('.') {
        return Err(IdentityError::unusable(path, format!("{host:?} is neither a host name nor an address")));
    }
    [host.to_owned(), format!("*.{host}")]
        .into_iter()
        .map(|name| name.try_into().map(SanType::DnsName).map_err(failed_at(path)))
        .collect()
}

/// From yesterday, for `days`; the format's last year is 9999.
fn validity(days: u32, now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    let last = time::macros::datetime!(9999-12-31 23:59:59 UTC);
    let end = now.checked_add(time::Duration::days(days.into())).map_or(last, |end| end.min(last));
    (now - CLOCK_SKEW, end)
}

fn failed_at(path: &Path) -> impl Fn(rcgen::Error) -> IdentityError + use<> {
    let path = path.to_owned();
    move |error| IdentityError::unusable(&path, format!("it cannot be made ({error})"))
}
