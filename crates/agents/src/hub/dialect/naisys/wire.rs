//! What is written on the wire, in the names of NAISYS. What is optional is left out and never `null`: its programs take none.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::api::{Attachment, CostSource, LogRole, LogSource, LogType, Mail, MailKind};

/// A time as programs of NAISYS write it: `2026-11-23T07:39:18.437Z`.
pub(super) fn stamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

/// Takes what is there and not `null`.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionCreate {
    pub(super) user_id: i64,
    pub(super) model_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionIncrement {
    pub(super) user_id: i64,
    pub(super) run_id: i64,
    pub(super) model_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailSend {
    pub(super) from_user_id: i64,
    pub(super) to_user_ids: Vec<i64>,
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) kind: MailKind,
    #[serde(default, deserialize_with = "some")]
    pub(super) attachment_ids: Option<Vec<i64>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MailListFilter {
    Received,
    Sent,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailList {
    pub(super) user_id: i64,
    #[serde(default, deserialize_with = "some")]
    pub(super) filter: Option<MailListFilter>,
    pub(super) kind: MailKind,
    #[serde(default, deserialize_with = "some")]
    pub(super) skip: Option<i64>,
    #[serde(default, deserialize_with = "some")]
    pub(super) take: Option<i64>,
    #[serde(default, deserialize_with = "some")]
    pub(super) with_user_ids: Option<Vec<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailPeek {
    pub(super) user_id: i64,
    pub(super) message_id: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailUnread {
    pub(super) user_id: i64,
    pub(super) kind: MailKind,
    #[serde(default, deserialize_with = "some")]
    pub(super) after_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailMarkRead {
    pub(super) user_id: i64,
    pub(super) message_ids: Vec<i64>,
    pub(super) kind: MailKind,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailArchive {
    pub(super) user_id: i64,
    pub(super) message_ids: Vec<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailSearch {
    pub(super) user_id: i64,
    pub(super) terms: String,
    #[serde(default, deserialize_with = "some")]
    pub(super) include_archived: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    pub(super) subject_only: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CostEntry {
    pub(super) user_id: i64,
    pub(super) run_id: i64,
    pub(super) session_id: i64,
    pub(super) source: CostSource,
    pub(super) model: String,
    pub(super) cost: f64,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) cache_write_tokens: i64,
    pub(super) cache_read_tokens: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entries<T> {
    pub(super) entries: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogEntry {
    pub(super) user_id: i64,
    pub(super) run_id: i64,
    pub(super) session_id: i64,
    pub(super) role: LogRole,
    pub(super) source: Option<LogSource>,
    #[serde(rename = "type")]
    pub(super) kind: Option<LogType>,
    pub(super) message: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) created_at: OffsetDateTime,
    #[serde(default, deserialize_with = "some")]
    pub(super) attachment_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentStart {
    pub(super) start_user_id: i64,
    #[serde(default, deserialize_with = "some")]
    pub(super) task_description: Option<String>,
    #[serde(default, deserialize_with = "some")]
    pub(super) requester_user_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentStop {
    pub(super) user_id: i64,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentPeek {
    pub(super) user_id: i64,
    #[serde(default, deserialize_with = "some")]
    pub(super) skip: Option<i64>,
    #[serde(default, deserialize_with = "some")]
    pub(super) take: Option<i64>,
}

/// Of version 3.0, or of the later ones.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Heartbeat {
    #[serde(rename_all = "camelCase")]
    Users { active_user_ids: Vec<i64> },
    #[serde(rename_all = "camelCase")]
    Sessions { active_sessions: Vec<ActiveSession> },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ActiveSession {
    pub(super) user_id: i64,
}

impl Heartbeat {
    /// The agents that run, each once, in the order in which they were told.
    pub(super) fn agents(self) -> Vec<i64> {
        let all = match self {
            Self::Users { active_user_ids } => active_user_ids,
            Self::Sessions { active_sessions } => {
                active_sessions.into_iter().map(|session| session.user_id).collect()
            }
        };
        let mut seen = std::collections::BTreeSet::new();
        all.into_iter().filter(|agent| seen.insert(*agent)).collect()
    }
}

/// What a runner answers to an order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answered {
    pub(super) success: bool,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) hostname: Option<String>,
    #[serde(default)]
    pub(super) lines: Option<Vec<String>>,
    #[serde(default)]
    pub(super) total_lines: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    id: String,
    filename: String,
    #[serde(rename = "fileSize")]
    size: i64,
}

/// The files of a message; none where there are none.
pub(super) fn files(attachments: &[Attachment]) -> Option<Vec<File>> {
    let file = |attachment: &Attachment| File {
        id: attachment.id.clone(),
        filename: attachment.filename.clone(),
        size: attachment.size,
    };
    (!attachments.is_empty()).then(|| attachments.iter().map(file).collect())
}

/// A message, whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    id: i64,
    subject: String,
    from_username: String,
    from_title: String,
    recipient_usernames: Vec<String>,
    created_at: String,
    body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<Vec<File>>,
}

impl From<Mail> for Message {
    fn from(mail: Mail) -> Self {
        Self {
            id: mail.head.id,
            attachments: files(&mail.head.attachments),
            subject: mail.head.subject,
            from_username: mail.head.from,
            from_title: mail.head.from_title,
            recipient_usernames: mail.head.to,
            created_at: stamp(mail.head.created_at),
            body: mail.body,
        }
    }
}

/// A message in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    id: i64,
    from_username: String,
    from_title: String,
    recipient_usernames: Vec<String>,
    subject: String,
    created_at: String,
    is_unread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<Vec<File>>,
}

impl From<Mail> for Listed {
    fn from(mail: Mail) -> Self {
        let is_chat = mail.head.kind == MailKind::Chat;
        Self {
            id: mail.head.id,
            attachments: files(&mail.head.attachments),
            from_username: mail.head.from,
            from_title: mail.head.from_title,
            recipient_usernames: mail.head.to,
            subject: mail.head.subject,
            created_at: stamp(mail.head.created_at),
            is_unread: mail.head.unread,
            body: is_chat.then_some(mail.body),
        }
    }
}

/// A message that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    id: i64,
    subject: String,
    from_username: String,
    created_at: String,
}

impl From<Mail> for Found {
    fn from(mail: Mail) -> Self {
        let head = mail.head;
        let created_at = stamp(head.created_at);
        Self { id: head.id, subject: head.subject, from_username: head.from, created_at }
    }
}

/// What a client shows when it comes. Of other fields nothing is read.
pub(super) struct Shown {
    pub(super) key: String,
    pub(super) host_name: String,
    /// What it says that it is.
    pub(super) is_supervisor: bool,
    pub(super) version: Option<String>,
}

impl Shown {
    /// Reads it; what is not text is as if it were not there.
    pub(super) fn read(auth: &serde_json::Map<String, Value>) -> Self {
        let text = |field: &str| auth.get(field).and_then(Value::as_str).map(str::to_owned);
        Self {
            key: text("hubAccessKey").unwrap_or_default(),
            host_name: text("hostName").unwrap_or_default(),
            is_supervisor: text("hostType").as_deref() == Some("supervisor"),
            version: text("clientVersion").filter(|version| version.len() <= 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_written_as_programs_of_naisys_read_them() {
        assert_eq!(stamp(datetime!(2026-11-23 07:39:18.437 UTC)), "2026-11-23T07:39:18.437Z");
        assert_eq!(stamp(datetime!(2026-11-23 09:39:18 +2)), "2026-11-23T07:39:18.000Z");
    }

    #[test]
    fn what_is_optional_may_be_left_out_but_not_be_null() {
        let read = |value| serde_json::from_value::<AgentStart>(value);
        assert_eq!(read(json!({"startUserId": 1})).unwrap().requester_user_id, None);
        assert!(read(json!({"startUserId": 1, "requesterUserId": null})).is_err());
        assert!(read(json!({"startUserId": "1"})).is_err());
        let entry = |kind: Value| {
            json!({"userId": 1, "runId": 1, "sessionId": 1, "role": "NAISYS", "source": null, "type": kind,
                "message": "m", "createdAt": "2026-11-23T07:39:18.437Z"})
        };
        assert!(serde_json::from_value::<LogEntry>(entry(Value::Null)).is_ok());
        assert!(serde_json::from_value::<LogEntry>(entry(json!("other"))).is_err());
    }

    #[test]
    fn heartbeats_of_both_generations_are_read() {
        let read = |value| serde_json::from_value::<Heartbeat>(value).map(Heartbeat::agents);
        assert_eq!(read(json!({"activeUserIds": [2, 1, 2]})).unwrap(), [2, 1]);
        assert_eq!(
            read(json!({"activeSessions": [{"userId": 4, "runId": 1, "sessionId": 1}]})).unwrap(),
            [4]
        );
        assert!(read(json!({})).is_err());
        assert!(read(json!({"activeUserIds": "all"})).is_err());
    }
}
