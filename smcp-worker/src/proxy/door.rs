//! The way out of a plugin's own network namespace: its listener is made there, by the supervisor, and handed over.

use std::convert::Infallible;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use smcp_common::sandbox::Destination;

use super::{Proxy, Token};
use crate::sandbox::control::receive_descriptor;

/// What the proxy lets through whose listener a plugin's supervisor makes.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where it listens.
    pub(crate) port: u16,
    pub(crate) allow: Vec<Destination>,
    pub(crate) token: Token,
}

/// Serves the proxy of a run as long as that takes.
pub(crate) async fn serve(listener: Option<(UnixStream, &Door)>) -> Infallible {
    let Some((socket, door)) = listener else {
        return std::future::pending().await;
    };
    let proxy = async {
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(socket)?;
        socket.readable().await?;
        let listener = TcpListener::from(receive_descriptor(&socket)?);
        Proxy::serve(listener, door.allow.clone(), door.token.clone())
    };
    let served = proxy.await;
    if let Err(error) = &served {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the plugin has no way out"
        );
    }
    std::future::pending().await
}
