//! Asks an agent on its socket: ours, or Python's.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Holder, InterfaceStatus, Listed};

/// The longest answer, in bytes.
const LONGEST: u64 = 64 << 20;

/// Why an agent did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no agent answers at {}: {source}; start one with `nave not-my-board agent HUB_URL`", .path.display())]
    NoAgent {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The agent says so; the first line of its words.
    #[error("{0}")]
    Failed(String),
    /// The agent went away.
    #[error("the agent ended the connection: its log says why")]
    Closed,
    /// The connection broke.
    #[error("the connection to the agent broke: {0}")]
    Broken(#[from] io::Error),
    /// It is no agent.
    #[error("the agent's answer cannot be understood: {0}")]
    Nonsense(#[from] serde_json::Error),
}

/// A connection to an agent. What was asked is cancelled when it is dropped.
#[derive(Debug)]
pub struct AgentClient {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    last_id: u64,
}

#[derive(Deserialize)]
struct Answer {
    id: Option<Value>,
    method: Option<Value>,
    result: Option<Box<RawValue>>,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl AgentClient {
    /// Connects to an agent's socket.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|source| ClientError::NoAgent { path: path.to_owned(), source })?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer, last_id: 0 })
    }

    /// Calls a method and waits for its result, as long as it takes.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Box<RawValue>, ClientError> {
        self.last_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params });
        self.writer.write_all(format!("{request}\n").as_bytes()).await?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut self.reader).take(LONGEST).read_until(b'\n', &mut line).await?;
            if read == 0 {
                return Err(ClientError::Closed);
            }
            let answer: Answer = serde_json::from_slice(&line)?;
            if answer.method.is_some() || answer.id != Some(self.last_id.into()) {
                continue;
            }
            if let Some(problem) = answer.error {
                let words = problem.message.lines().next().unwrap_or("it failed").to_owned();
                return Err(ClientError::Failed(words));
            }
            return Ok(answer.result.unwrap_or_else(|| RawValue::NULL.to_owned()));
        }
    }

    async fn get<T: DeserializeOwned>(&mut self, method: &str) -> Result<T, ClientError> {
        Ok(serde_json::from_str(self.call(method, json!({})).await?.get())?)
    }

    /// All reservations of the agent.
    pub async fn list(&mut self) -> Result<Vec<Listed>, ClientError> {
        self.get("list").await
    }

    /// The interfaces of all reservations.
    pub async fn status(&mut self) -> Result<Vec<InterfaceStatus>, ClientError> {
        self.get("status").await
    }

    /// Who has which place, in the whole farm.
    pub async fn holders(&mut self) -> Result<Vec<Holder>, ClientError> {
        self.get("get_reservations").await
    }

    /// Reserves a place that is as described, under a name, waiting for it if others have it.
    pub async fn reserve(&mut self, name: &str, toml: &str, place: Option<&str>) -> Result<(), ClientError> {
        self.call("reserve", json!([name, toml, place])).await.map(drop)
    }

    /// Gives a place back.
    pub async fn give_back(&mut self, name: &str, force: bool) -> Result<(), ClientError> {
        self.call("return_reservation", json!([name, force])).await.map(drop)
    }

    /// Attaches the interfaces of a reserved place.
    pub async fn attach(&mut self, name: &str) -> Result<(), ClientError> {
        self.call("attach", json!([name])).await.map(drop)
    }

    /// Detaches them.
    pub async fn detach(&mut self, name: &str) -> Result<(), ClientError> {
        self.call("detach", json!([name])).await.map(drop)
    }

    /// The import description of a reservation.
    pub async fn import_description(&mut self, name: &str) -> Result<String, ClientError> {
        let text = self.call("get_import_description", json!([name])).await?;
        Ok(serde_json::from_str(text.get())?)
    }

    /// Changes it.
    pub async fn update_import_description(&mut self, name: &str, toml: &str) -> Result<(), ClientError> {
        self.call("update_import_description", json!([name, toml])).await.map(drop)
    }

    /// The names of the places that are there; with a description, of those that fit it.
    pub async fn search(&mut self, toml: Option<&str>) -> Result<Vec<String>, ClientError> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let found = self.call("search", json!([toml])).await?;
        let named: Vec<Named> = serde_json::from_str(found.get())?;
        Ok(named.into_iter().map(|place| place.name).collect())
    }

    /// A place, as JSON with its members in the agent's order: by the name of a reservation or, after an `@`, by its own.
    pub async fn place(&mut self, name: &str) -> Result<Box<RawValue>, ClientError> {
        match name.strip_prefix('@') {
            Some(place) => self.call("get_place_by_name", json!([place])).await,
            None => self.call("get_reserved_place", json!([name])).await,
        }
    }
}
