//! A proxy that breaks connections at a given byte: after so many events of the answer to a call.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Where the connection of a call is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// When the request has been passed on, before the first byte of the answer.
    BeforeTheAnswer,
    /// After that many events of the answer.
    AfterEvents(usize),
    /// After one event of each answer, so that a client has to come back for every single one.
    EveryEvent,
}

/// A proxy in front of an address of this machine.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Passes everything on to `target`, and cuts the answers to calls of tools.
    pub(crate) fn start(target: &str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (target, cuts) = (target.to_owned(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&cuts);
        // It ends with the test process: it holds nothing but sockets.
        thread::spawn(move || {
            for client in listener.incoming() {
                let (target, count) = (target.clone(), Arc::clone(&count));
                thread::spawn(move || pass(&client.unwrap(), &target, cut, &count));
            }
        });
        Self { address, cuts }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it has cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn pass(client: &TcpStream, target: &str, cut: Cut, cuts: &AtomicUsize) {
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    let mut request = Vec::new();
    let mut to_server = server.try_clone().unwrap();
    let mut from_client = client.try_clone().unwrap();
    read_request(&mut from_client, &mut request);
    to_server.write_all(&request).unwrap();
    let up = thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    let text = String::from_utf8_lossy(&request);
    let is_call = text.contains("\"tools/call\"");
    let is_return = text.to_lowercase().contains("last-event-id:");
    let limit = match cut {
        Cut::BeforeTheAnswer if is_call => Some(0),
        Cut::AfterEvents(events) if is_call => Some(events),
        Cut::EveryEvent if is_call || is_return => Some(1),
        Cut::BeforeTheAnswer | Cut::AfterEvents(_) | Cut::EveryEvent => None,
    };
    let once = cut != Cut::EveryEvent;
    let is_cut = match limit {
        Some(limit) if !once || cuts.load(Ordering::SeqCst) == 0 => relay(&server, client, limit),
        Some(_) | None => relay(&server, client, usize::MAX),
    };
    if is_cut {
        cuts.fetch_add(1, Ordering::SeqCst);
    }
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
    up.join().unwrap();
}

/// Reads the head of a request and its body.
fn read_request(client: &mut TcpStream, request: &mut Vec<u8>) {
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read == 1) {
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(request).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if client.read_exact(&mut body).is_ok() {
        request.append(&mut body);
    }
}

/// Passes on the answer up to the end of its event number `limit`; true where it has been cut there.
fn relay(mut server: &TcpStream, mut client: &TcpStream, limit: usize) -> bool {
    let mut bytes = [0; 4096];
    let (mut events, mut last) = (0, 0);
    loop {
        let Ok(read @ 1..) = server.read(&mut bytes) else {
            return false;
        };
        if limit == 0 {
            return true;
        }
        for at in 0..read {
            if bytes[at] == b'\n' && last == b'\n' {
                events += 1;
                if events == limit {
                    drop(client.write_all(&bytes[..=at]));
                    return true;
                }
            }
            last = bytes[at];
        }
        if client.write_all(&bytes[..read]).is_err() {
            return false;
        }
    }
}
