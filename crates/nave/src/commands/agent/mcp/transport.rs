//! The way to the client, forgiving about what comes before its first request. The framing is the SDK's.

use rmcp::model::JsonRpcMessage;
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

/// Drops what is no request until there is one: the SDK would give up the whole server over it.
pub(super) struct Patient<T> {
    io: T,
    asked: bool,
}

impl<T> Patient<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, asked: false }
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Patient<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.io.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = self.io.receive().await?;
            self.asked |= matches!(message, JsonRpcMessage::Request(_));
            if self.asked {
                return Some(message);
            }
            tracing::warn!("the client sent something before its first request; it was left out");
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.io.close().await
    }
}
