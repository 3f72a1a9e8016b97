//! `nave login` and `nave logout`: this machine as a person's device.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use http::Method;
use nave_core::node::{Login as SignIn, NodeFolder, person_folder};
use nave_link::access_key::{AccessKey, Prefix};
use nave_link::certificate;
use nave_link::dial::{self, Met};
use nave_link::key::SecretKey;
use nave_link::random::Random;
use serde_json::json;

use super::{Context, node};
use crate::cli::Login;
use crate::client::{HubClient, segment};
use crate::{logging, paths};

pub async fn login(context: &Context<'_>, args: Login) -> anyhow::Result<()> {
    logging::start("warn");
    let (printer, random) = (context.printer, Random::system());
    if let Ok(folder) = NodeFolder::find(&person_folder(&context.data), Some(&args.url)) {
        bail!(
            "somebody has signed in to {} here already ({}): `nave logout` first",
            args.url,
            folder.path().display()
        );
    }
    let met = meet(context, &args, &random).await?;
    let name = args
        .name
        .or_else(node::host_name)
        .context("this machine has no name that fits: say what the device is called with --name")?;
    // From here on nobody else's certificate will do.
    let tls = certificate::by_fingerprint(met.fingerprint.full());
    let sign_in = SignIn::begin(&context.data, args.url.clone(), &met, tls, &name, &random).await?;
    let asked = sign_in.asked();
    printer.talk(format!(
        "Open this page in a browser, and let this device in:\n\n  {}\n\nIt shows the code {} and the key {}.\nWaiting for you there (Ctrl-C ends it) …",
        asked.verification_uri_complete,
        asked.user_code,
        sign_in.key()
    ));
    let granted = sign_in.finish().await?;
    printer.talk(format!("nave: signed in to {} as {}, from {}", args.url, granted.person, granted.name));
    if printer.is_json() { printer.value(&granted) } else { Ok(()) }
}

/// Meets the hub, and makes sure that it is the right one: by a fingerprint, by the access key, by an authority that
/// this machine trusts, or by a person who compares.
async fn meet(context: &Context<'_>, args: &Login, random: &Random) -> anyhow::Result<Met> {
    let probe = SecretKey::generate(random).public();
    if let Some(text) = &args.fingerprint {
        let prefix: Prefix = text.parse().context("--fingerprint")?;
        return Ok(dial::meet(&args.url, certificate::by_fingerprint(prefix), &probe).await?);
    }
    if let Some(key) = paths::access_key_text() {
        let key: AccessKey = key.parse().context("HUB_ACCESS_KEY")?;
        return Ok(dial::meet(&args.url, certificate::by_access_key(&key), &probe).await?);
    }
    match dial::meet(&args.url, certificate::by_system(), &probe).await {
        Err(error) if error.is_unknown_certificate() => {}
        met => return Ok(met?),
    }
    let met = dial::meet(&args.url, certificate::by_key(), &probe).await?;
    let seen = met.fingerprint;
    if !std::io::stdin().is_terminal() {
        bail!(
            "nobody whom this machine trusts vouches for the certificate of {}. If the fingerprint that the hub printed when it started is\n  {seen}\nthen say so: --fingerprint {seen}",
            args.url
        );
    }
    context.printer.talk(format!(
        "{} shows a certificate of its own. Compare its fingerprint with the one that the hub printed when it started:\n\n  {seen}\n",
        args.url
    ));
    let mut out = std::io::stderr().lock();
    write!(out, "Is it the same? [y/N] ")?;
    out.flush()?;
    drop(out);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(met);
    }
    bail!("not signed in: the fingerprint is not the hub's, or was not compared")
}

pub async fn logout(context: &Context<'_>) -> anyhow::Result<()> {
    let folder = NodeFolder::find(&person_folder(&context.data), context.url.as_ref())
        .map_err(|_| anyhow::anyhow!("nobody has signed in here: there is nothing to end"))?;
    let membership = folder.membership()?.context("the folder was emptied meanwhile")?;
    let hub = HubClient::of(&folder, membership.clone())?;
    // The hub may be gone, or may have ended the device itself; this machine forgets it in any case.
    let ended = async {
        let me: nave_core::api::Me = hub.get("/nave/v1/me").await?;
        let id = me.device.context("the hub knows this device as something else")?;
        hub.act(Method::DELETE, &format!("/nave/v1/devices/{}", segment(&id)), &json!({})).await
    };
    let ended: anyhow::Result<()> = ended.await;
    folder.forget()?;
    match ended {
        Ok(()) => context.printer.talk(format!("nave: signed out of {}", membership.url)),
        Err(error) => context.printer.talk(format!(
            "nave: this machine has forgotten {}, but the hub could not be told ({error:#}): end the device {:?} on your account's page",
            membership.url, membership.name
        )),
    }
    Ok(())
}
