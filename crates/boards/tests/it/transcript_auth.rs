//! A recorded day on a farm of not-my-board 0.13.0 whose clients sign in, played again: a client without a token, with one
//! of somebody who may nothing, with one that has ended; a sign-in by the browser; tokens that are asked for anew. The
//! clients say what they said then, with tokens of the same words made now, and this hub must say what that hub said.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context as _;
use nave_core::hub::people::oidc::unverified;
use nave_testkit::hub::TestHub;
use serde_json::{Value, json};

use crate::auth::Provider;
use crate::client::{Client, body, farm, get, without_traceback};

const RECORDED: &str = include_str!("../golden/not_my_board_transcript_auth.jsonl");
/// How long ago, in seconds, the first tokens ended that were good then: they still count, and the hub asks for the next
/// ones half a minute after their end.
const ENDED: i64 = 20;

fn address(who: &Value) -> &'static str {
    if who == "agent" { "10.77.0.3" } else { "10.77.0.2" }
}

fn settings(provider: &Provider) -> String {
    let url = &provider.url;
    format!(
        r#"
        [not_my_board]
        enabled = true
        proxies = ["127.0.0.1"]
        [not_my_board.auth]
        issuer = "{url}"
        client_id = "nmb-client"
        [[not_my_board.auth.permissions]]
        claims = {{ sub = "lab-host" }}
        roles = ["exporter"]
        [[not_my_board.auth.permissions]]
        claims = {{ sub = "alice" }}
        roles = ["importer"]
        [not_my_board.auth.issuers."{url}"]
        show_claims = ["sub", "preferred_username"]
        user_name_formats = ["importer-1"]
        "#
    )
}

struct Play {
    hub: TestHub,
    provider: Provider,
    /// Who has brought a token already.
    known: BTreeSet<String>,
    clients: HashMap<u64, Client>,
    compared: usize,
}

impl Play {
    fn client(&mut self, number: u64) -> anyhow::Result<&mut Client> {
        self.clients.get_mut(&number).with_context(|| format!("connection {number}"))
    }

    /// The token that a client brought then, as one of now.
    fn anew(&mut self, recorded: &str) -> anyhow::Result<String> {
        let mut claims = unverified(recorded).context("a token")?;
        let number = |name: &str| claims.get(name).and_then(Value::as_i64).context("a number");
        let life = number("exp")? - number("iat")?;
        let who = claims.get("sub").and_then(Value::as_str).context("a subject")?.to_owned();
        let left = match life {
            ended if ended < 0 => ended,
            _ if self.known.insert(who) => -ENDED,
            // Nobody is asked a third time.
            _ => 600,
        };
        for name in ["iss", "iat", "exp"] {
            claims.remove(name);
        }
        Ok(self.provider.token(left, &Value::Object(claims)))
    }

    /// What a client said then.
    async fn say(&mut self, number: u64, said: &Value) -> anyhow::Result<()> {
        let mut said = said.clone();
        if let Some(token) = said["result"].as_str() {
            said["result"] = json!(self.anew(token)?);
        }
        self.client(number)?.send(&said).await
    }

    /// What the hub said then, and says now.
    async fn hear(&mut self, number: u64, recorded: &Value) -> anyhow::Result<()> {
        let said = self.client(number)?.next().await?;
        assert_eq!(said, without_traceback(recorded.clone()));
        self.compared += 1;
        Ok(())
    }
}

/// The rows in which connection 13 is asked for its token, and brings it. It was asked with the first request that needs
/// one; here it is asked before the places are told, which that hub told everybody.
fn asked_and_brought(rows: &[Value]) -> anyhow::Result<(Value, Value)> {
    let of_13 = |row: &&Value| row["conn"] == 13 && row["kind"] == "frame";
    let asked = rows.iter().filter(of_13).find(|row| row["json"]["method"] == "get_id_token");
    let brought = rows.iter().filter(of_13).find(|row| row["json"]["result"].is_string());
    Ok((asked.context("asked")?.clone(), brought.context("brought")?.clone()))
}

#[tokio::test]
async fn a_recorded_day_of_signing_in_goes_as_it_went() -> anyhow::Result<()> {
    let provider = Provider::for_client("nmb-client").await?;
    let hub = farm(&settings(&provider)).await?;
    let mut play = Play { hub, provider, known: BTreeSet::new(), clients: HashMap::new(), compared: 0 };
    let rows: Vec<Value> = RECORDED.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (asked, brought) = asked_and_brought(&rows)?;
    let mut answered = String::new();
    for (at, row) in rows.iter().enumerate() {
        let (link, kind) = (row["link"].as_str().unwrap(), row["kind"].as_str().unwrap());
        let (number, from_hub) = (row["conn"].as_u64().unwrap(), row["frm"] == "hub");
        let played = async {
            match (link, kind) {
                ("ws", "response") => {
                    let client = Client::connect(&play.hub, address(&row["to"])).await?;
                    play.clients.insert(number, client);
                }
                ("ws", "frame") if *row == asked || *row == brought => {}
                ("ws", "frame") if from_hub => play.hear(number, &row["json"]).await?,
                ("ws", "frame") => play.say(number, &row["json"]).await?,
                ("ws", "eof") => drop(play.clients.remove(&number)),
                ("http", "request") => {
                    let line = row["head"][0].as_str().unwrap();
                    let path = line.split(' ').nth(1).unwrap().to_owned();
                    let from = address(&row["frm"]);
                    answered = if number == 14 {
                        let token = play.anew(brought["json"]["result"].as_str().unwrap())?;
                        let client = play.clients.get_mut(&13).context("connection 13")?;
                        let bring = async {
                            assert_eq!(client.next().await?, asked["json"]);
                            let mut said = brought["json"].clone();
                            said["result"] = json!(token);
                            client.send(&said).await
                        };
                        let (got, brought) = tokio::join!(get(&play.hub, from, &path), bring);
                        brought?;
                        play.compared += 1;
                        got?
                    } else {
                        get(&play.hub, from, &path).await?
                    };
                }
                ("http", "body") => {
                    if let Some(text) = row.get("text") {
                        assert!(answered.ends_with(text.as_str().unwrap()), "{answered}");
                    } else {
                        let mut recorded = row["json"].clone();
                        if recorded.get("issuer").is_some() {
                            recorded["issuer"] = json!(play.provider.url);
                        }
                        assert_eq!(body(&answered)?, recorded);
                    }
                    play.compared += 1;
                }
                other => anyhow::bail!("nobody knows how to play {other:?}"),
            }
            Ok(())
        };
        played.await.with_context(|| format!("line {}: {row}", at + 1))?;
    }
    assert_eq!(play.compared, 33, "not all that was recorded was compared");
    Ok(())
}
