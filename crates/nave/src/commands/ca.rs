//! `nave ca`: a private certificate authority in the data folder.

use anyhow::{Context as _, bail};
use nave_core::clock::Clock;
use nave_core::hub::identity::{TlsIdentity, ca};

use super::Context;
use crate::cli::Ca;

pub fn run(context: &Context<'_>, command: Ca) -> anyhow::Result<()> {
    let (printer, now) = (context.printer, Clock::system().now());
    match command {
        Ca::Init { days } => {
            let root = ca::init(&context.data, days, now)?;
            printer.data(root.display());
            printer.talk(
                "nave: next: `nave ca issue HOST`; clients need the file above as their CA (curl --cacert)",
            );
        }
        Ca::Issue { host, days, forget_root_key } => {
            let (certificate, key) = ca::issue(&context.data, &host, days, forget_root_key, now)?;
            printer.data(certificate.display());
            printer.data(key.display());
            printer.talk(format!(
                "nave: to serve it, put `tls.ca_host = \"{host}\"` and a listener with `identity = \"ca\"` into the configuration, or start with --tls-cert and --tls-key; then restart the hub"
            ));
        }
        Ca::Trust { file } => {
            if !nix::unistd::geteuid().is_root() {
                bail!("only root can change what this machine trusts: use sudo");
            }
            let root = ca::root_certificate(&context.data);
            let (certificate, label) = match file {
                Some(file) => {
                    let pem = std::fs::read(&file).with_context(|| file.display().to_string())?;
                    TlsIdentity::inspect(&pem).with_context(|| file.display().to_string())?;
                    (file, "ca")
                }
                None if root.exists() => (root, "ca"),
                None => (context.data.join("cert/hub-cert.pem"), "hub"),
            };
            let (installed, program) = ca::trust(&certificate, label)?;
            printer.data(installed.display());
            printer.talk(format!(
                "nave: this machine now trusts {}; to undo it, remove {} and run {program}",
                certificate.display(),
                installed.display()
            ));
        }
    }
    Ok(())
}
