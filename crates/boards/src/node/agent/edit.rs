//! Changing the import description of a reserved place: what it adds is attached, what it leaves out is detached, and the
//! rest goes on undisturbed.

use super::plan::{self, Attachment};
use super::tunnel::Tunnel;
use super::{Agent, AgentError, ImportDescription, close_all, finish};

impl Agent {
    /// The import description of a reservation, as it was given.
    pub async fn import_description(&self, name: &str) -> Result<String, AgentError> {
        let _lock = self.0.locks.lock(name).await;
        self.0.table.with(name, |reservation| reservation.toml.clone())
    }

    /// Gives a reservation another import description, and its time anew. If something that is new cannot be attached,
    /// everything is as before.
    pub async fn update_import_description(&self, name: &str, toml: &str) -> Result<(), AgentError> {
        let (agent, name, toml) = (self.clone(), name.to_owned(), toml.to_owned());
        finish(tokio::spawn(async move { agent.update(&name, toml).await })).await
    }

    async fn update(&self, name: &str, toml: String) -> Result<(), AgentError> {
        let _lock = self.0.locks.lock(name).await;
        let seat = self.0.table.with(name, |reservation| reservation.seat.clone())?;
        let description = ImportDescription::parse(&toml)?;
        let wanted = plan::plan(&description, &seat.place()).ok_or(AgentError::NewMismatch)?;
        if self.farm().keeps_time() {
            self.farm().renew(seat.place().id, description.auto_return).await?;
        }
        let (attached, removed, mut kept) = self.0.table.with(name, |reservation| {
            let known = std::mem::take(&mut reservation.tunnels);
            let (kept, removed): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|(attachment, _)| wanted.contains(attachment));
            (reservation.attached, removed, kept)
        })?;
        if !attached {
            let tunnels = wanted.into_iter().map(|attachment| (attachment, None)).collect();
            return self.updated(name, toml, &description, tunnels);
        }
        // Closed before others are opened: they may want the same ports.
        let (before, open): (Vec<_>, Vec<_>) = removed.into_iter().unzip();
        close_all(open.into_iter().flatten().collect()).await;
        let is_kept = |attachment: &Attachment| kept.iter().any(|(known, _)| known == attachment);
        let added: Vec<Attachment> = wanted.iter().filter(|wanted| !is_kept(wanted)).cloned().collect();
        match self.open(&seat, &added).await {
            Ok(opened) => {
                let mut all: Vec<(Attachment, Option<Tunnel>)> = kept;
                all.extend(added.into_iter().zip(opened.into_iter().map(Some)));
                let place = |attachment: &Attachment| wanted.iter().position(|wanted| wanted == attachment);
                all.sort_by_key(|(attachment, _)| place(attachment));
                self.updated(name, toml, &description, all)
            }
            Err(mut problems) => {
                for attachment in before {
                    let again = self.open(&seat, std::slice::from_ref(&attachment)).await;
                    let tunnel = match again {
                        Ok(mut opened) => opened.pop(),
                        Err(more) => {
                            problems.extend(more);
                            None
                        }
                    };
                    kept.push((attachment, tunnel));
                }
                self.0.table.with(name, |reservation| reservation.tunnels = kept)?;
                Err(AgentError::Attach { name: name.to_owned(), problems })
            }
        }
    }

    fn updated(
        &self,
        name: &str,
        toml: String,
        description: &ImportDescription,
        tunnels: Vec<(Attachment, Option<Tunnel>)>,
    ) -> Result<(), AgentError> {
        let timer = self.auto_return(name, description.auto_return);
        self.0.table.with(name, |reservation| {
            reservation.toml = toml;
            reservation.tunnels = tunnels;
            reservation.auto_return = timer;
        })
    }
}
