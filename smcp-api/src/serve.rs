//! Listening, and serving connections until told to stop.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::bind::{BindRefused, guard};
use crate::connection::WriteTimeout;
use crate::http_config::{HttpConfig, Limits};
use crate::problem::Problem;

/// Pause after a failed `accept`, which fails again at once while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Address of the other end of the connection that a request came in on, in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(|| {
            let message = "the server did not note where the request came from";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        })
    }
}

/// Listens on the configured host and port, if the bind guard lets it.
///
/// A name that resolves to several addresses is listened on at the first that works, IPv4 before IPv6.
///
/// # Errors
/// [`BindError`] says what stands in the way; for [`BindError::Refused`] the process should exit with status 2.
pub async fn bind(config: &HttpConfig) -> Result<Bound, BindError> {
    let (host, port) = (config.host.as_str(), config.port);
    let unresolved = |source| BindError::Unresolved {
        host: host.to_owned(),
        source,
    };
    let mut addresses: Vec<SocketAddr> = lookup_host((host, port))
        .await
        .map_err(unresolved)?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    guard(host, &ips, &config.auth)?;
    let listener = TcpListener::bind(addresses.as_slice())
        .await
        .map_err(|source| BindError::from_io(host, port, source))?;
    let address = listener
        .local_addr()
        .map_err(|source| BindError::from_io(host, port, source))?;
    Ok(Bound {
        listener,
        address,
        limits: config.limits,
    })
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Bound {
    /// The address that clients connect to, with the port that the system chose if 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `shutdown`, then lets open connections finish for a bounded time.
    ///
    /// Streams never finish by themselves: `router` must have been built with the same `shutdown`.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let service = WithPeer { router: router.clone(), peer: Peer(peer.ip()) };
                        connections.spawn(converse(stream, service, self.limits, shutdown.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        let drain = async { while connections.join_next().await.is_some() {} };
        if timeout(self.limits.shutdown_timeout, drain).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "closing connections that did not finish in time"
            );
            connections.shutdown().await;
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug, Error)]
pub enum BindError {
    /// The bind guard refused.
    #[error(transparent)]
    Refused(#[from] BindRefused),
    /// The host is no address and no name that resolves.
    #[error("the host {host:?} does not resolve to an address")]
    Unresolved {
        /// The host asked for.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Something else listens there.
    #[error(
        "port {port} on {host} is in use: stop what listens there, or choose another port \
         (--port or MCP_PORT; 0 takes a free one)"
    )]
    InUse {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The system refused for another reason.
    #[error("cannot listen on port {port} of {host}")]
    Failed {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    fn from_io(host: &str, port: u16, source: io::Error) -> Self {
        let host = host.to_owned();
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::InUse { host, port }
        } else {
            Self::Failed { host, port, source }
        }
    }
}

async fn converse(
    stream: TcpStream,
    service: WithPeer,
    limits: Limits,
    shutdown: CancellationToken,
) {
    // Events are small and urgent; a failure to say so costs some milliseconds.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.max_head_bytes);
    let io = TokioIo::new(WriteTimeout::new(stream, limits.write_timeout));
    let mut connection = pin!(builder.serve_connection(io, TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended");
    }
}

/// The router, told who is at the other end.
#[derive(Clone)]
struct WithPeer {
    router: Router,
    peer: Peer,
}

impl<B> Service<Request<B>> for WithPeer
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.router.call(request)
    }
}
