//! Connecting to one of several addresses, and passing bytes between two connections until one of them ends.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

const BUFFER: usize = 16 * 1024;
/// An address gets so long at least, where there are many.
const SHARE: Duration = Duration::from_secs(2);

/// Connects to the first of `addresses` that answers, within `limit` for all of them: one that swallows everything
/// leaves time for the others.
pub(super) async fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + limit;
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        let share = share(left, addresses.len() - tried);
        failed = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer"),
        };
    }
    Err(failed)
}

fn share(left: Duration, addresses: usize) -> Duration {
    let even = left / u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    even.max(SHARE).min(left)
}

/// Passes bytes both ways, `first` before all others to `server`, until both sides have ended, one fails, or nothing
/// has passed for `idle`. A side that has said everything can still be told something.
pub(super) async fn pass(
    client: &mut TcpStream,
    server: &mut TcpStream,
    first: &[u8],
    idle: Duration,
) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let activity = Activity(Mutex::new(Instant::now()));
    let passing = async {
        tokio::try_join!(
            one_way(first, from_client, to_server, &activity),
            one_way(&[], from_server, to_client, &activity),
        )
    };
    tokio::select! {
        passed = passing => passed.map(|((), ())| ()),
        () = activity.ceased(idle) => Err(io::Error::new(io::ErrorKind::TimedOut, "idle for too long")),
    }
}

/// `tokio::io::copy_bidirectional` does not tell when something passes.
async fn one_way(
    first: &[u8],
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    activity: &Activity,
) -> io::Result<()> {
    to.write_all(first).await?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
            return to.shutdown().await;
        };
        activity.seen();
        to.write_all(read).await?;
        activity.seen();
    }
}

/// When something has passed last.
#[derive(Debug)]
struct Activity(Mutex<Instant>);

impl Activity {
    fn seen(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn ceased(&self, limit: Duration) {
        loop {
            let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_between_addresses() {
        let seconds = Duration::from_secs;
        let rows = [
            (10, 1, 10),
            (10, 2, 5),
            (5, 1, 5),
            (10, 8, 2),
            (1, 8, 1),
            (0, 3, 0),
        ];
        for (left, addresses, expected) in rows {
            assert_eq!(share(seconds(left), addresses), seconds(expected));
        }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_where_one_refuses() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = closed.local_addr().unwrap();
        drop(closed);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let live = listener.local_addr().unwrap();
        let stream = connect(&[dead, live], Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        let refused = connect(&[dead], Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connect(&[], Duration::from_secs(10)).await.is_err());
    }
}
