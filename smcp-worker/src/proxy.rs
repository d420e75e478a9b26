//! The way out for plugins whose `network.mode` is `proxy`: an HTTP proxy that passes on `CONNECT` to the destinations
//! of their list, and nothing else.
//!
//! It resolves names itself, for they have no DNS, and connects to exactly the address that it has checked. What
//! passes then, it does not see: a server that is listed can be told to act for one that is not.

mod address;
pub(crate) mod door;
mod policy;
mod refused;
mod request;
#[cfg(test)]
mod tests;
mod token;
mod tunnel;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smcp_common::sandbox::Destination;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use self::policy::{Policy, Way};
use self::refused::Refused;
pub(crate) use self::token::{Token, environment};

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// How long no connections are taken after the system has refused one, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);
/// So many refusals of one sandbox are told at `info`: a plugin must not fill the log.
const TOLD: usize = 100;

/// Serves one sandbox. Ends (closing every connection) when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    accepting: AbortHandle,
}

/// How much a sandbox may use of its proxy.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at a time.
    connections: usize,
    /// The head of a request.
    head_bytes: usize,
    /// Until the head of a request has arrived.
    head: Duration,
    /// For a name to be resolved, and again for a connection to come about.
    connect: Duration,
    /// Without a byte in either direction.
    idle: Duration,
    /// For a client to read why it is refused.
    farewell: Duration,
}

/// What all connections of a sandbox share.
#[derive(Debug)]
struct Door {
    policy: Policy,
    token: Token,
    limits: Limits,
    refusals: AtomicUsize,
}

impl Proxy {
    /// Serves whoever connects to `listener` and shows `token`, and lets it connect to what `allow` lists. The listener
    /// may be of another network namespace than this thread; connections are made in this one's.
    ///
    /// Must be called within a runtime. What it logs is of the span that it is called in.
    ///
    /// # Errors
    /// If the listener cannot be waited for.
    pub(crate) fn serve(
        listener: std::net::TcpListener,
        allow: Vec<Destination>,
        token: Token,
    ) -> io::Result<Self> {
        Self::serve_within(listener, allow, token, Limits::default())
    }

    fn serve_within(
        listener: std::net::TcpListener,
        allow: Vec<Destination>,
        token: Token,
        limits: Limits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let door = Door {
            policy: Policy::new(allow),
            token,
            limits,
            refusals: AtomicUsize::new(0),
        };
        let accepting =
            tokio::spawn(accept(listener, Arc::new(door)).in_current_span()).abort_handle();
        Ok(Self { accepting })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 8 * 1024,
            head: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(5 * 60),
            farewell: Duration::from_secs(1),
        }
    }
}

/// Takes connections, and ends them when it is dropped itself.
async fn accept(listener: TcpListener, door: Arc<Door>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((mut client, _)) => {
                while connections.try_join_next().is_some() {}
                let limit = door.limits.connections;
                if connections.len() < limit {
                    let door = door.clone();
                    let served = async move { door.serve(client).await };
                    connections.spawn(served.in_current_span());
                } else {
                    // Before the next one is taken: whoever does not listen keeps nobody but its own plugin waiting.
                    door.refuse(&mut client, &Refused::Crowded(limit)).await;
                }
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a plugin's connection to its proxy is not accepted"
                );
                sleep(PAUSE).await;
            }
        }
    }
}

impl Door {
    async fn serve(&self, mut client: TcpStream) {
        let mut bytes = Vec::new();
        let connected = match self.head(&mut client, &mut bytes).await {
            Ok(Some(request)) => self
                .connect(&request.target)
                .await
                .map(|server| (request, server)),
            Ok(None) => return,
            Err(refused) => Err(refused),
        };
        let (request, mut server) = match connected {
            Ok(connected) => connected,
            Err(refused) => return self.refuse(&mut client, &refused).await,
        };
        let first = bytes.get(request.length..).unwrap_or_default();
        let passed = async {
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            client.write_all(CONNECTED).await?;
            tunnel::pass(&mut client, &mut server, first, self.limits.idle).await
        };
        if let Err(error) = passed.await {
            tracing::debug!(
                proxy.host = request.target.host,
                proxy.port = request.target.port,
                error = &error as &dyn std::error::Error,
                "a plugin's connection has been broken off"
            );
        }
    }

    /// Reads a request into `bytes`, and what came with it; `None` where the client has gone away.
    async fn head(
        &self,
        client: &mut TcpStream,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<request::Request>, Refused> {
        let limit = self.limits.head_bytes;
        let reading = async {
            loop {
                let room = u64::try_from(limit - bytes.len()).unwrap_or(u64::MAX);
                match (&mut *client).take(room).read_buf(bytes).await {
                    Ok(0) | Err(_) => return Ok(None),
                    Ok(_) => {}
                }
                if let Some(request) = request::read(bytes, &self.token)? {
                    return Ok(Some(request));
                }
                if bytes.len() >= limit {
                    return Err(Refused::Long);
                }
            }
        };
        let read = timeout(self.limits.head, reading).await;
        read.unwrap_or(Err(Refused::Slow))
    }

    async fn connect(&self, target: &Destination) -> Result<TcpStream, Refused> {
        let addresses = match self.policy.way(target)? {
            Way::Straight(address) => vec![address],
            Way::Resolve => self.policy.among(target, &self.resolve(target).await?)?,
        };
        tracing::debug!(
            proxy.host = target.host,
            proxy.port = target.port,
            "a plugin connects by its proxy"
        );
        tunnel::connect(&addresses, self.limits.connect)
            .await
            .map_err(|source| Refused::Unreachable {
                asked: target.clone(),
                source,
            })
    }

    async fn resolve(&self, target: &Destination) -> Result<Vec<std::net::IpAddr>, Refused> {
        let asked = lookup_host((target.host.as_str(), target.port));
        let slow = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let found = timeout(self.limits.connect, asked)
            .await
            .unwrap_or_else(|_| Err(slow()));
        match found {
            Ok(found) => Ok(found.map(|address| address.ip()).collect()),
            Err(source) => Err(Refused::Unknown {
                asked: target.clone(),
                source,
            }),
        }
    }

    /// Tells `client`, and waits for it to hang up: unread bytes would make the system take the answer back.
    async fn refuse(&self, client: &mut TcpStream, refused: &Refused) {
        self.tell(refused);
        let farewell = async {
            client.write_all(refused.answer().as_bytes()).await?;
            client.shutdown().await?;
            tokio::io::copy(client, &mut tokio::io::sink()).await
        };
        // Whoever does not wait for the answer does not want it.
        drop(timeout(self.limits.farewell, farewell).await);
    }

    fn tell(&self, refused: &Refused) {
        let asked = refused.asked();
        let host = asked.map(|asked| asked.host.as_str());
        let port = asked.map(|asked| asked.port);
        if self.refusals.fetch_add(1, Ordering::Relaxed) < TOLD {
            tracing::info!(
                proxy.host = host,
                proxy.port = port,
                "a plugin's proxy refuses: {refused}"
            );
        } else {
            tracing::debug!(
                proxy.host = host,
                proxy.port = port,
                "a plugin's proxy refuses: {refused}"
            );
        }
    }
}
