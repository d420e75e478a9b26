//! More connections than usual.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::world::{PATIENCE, World};

/// The API raises its own limit of open files, as each stream takes one.
#[test]
fn there_may_be_more_streams_than_files_are_usual() {
    let mut world = World::new();
    let _api = world.api_below(&["sh", "-c", "ulimit -Sn 256 && exec \"$@\"", "sh"]);
    let address = world.url().replace("http://", "");
    let streams: Vec<_> = (0..400).map(|_| listen(&address)).collect();
    assert_eq!(streams.len(), 400);
    assert!(!world.log().contains("WARN"), "{}", world.log());
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_told() {
    let mut world = World::new();
    let _api = world.api_below(&["sh", "-c", "ulimit -n 256 && exec \"$@\"", "sh"]);
    world.wait_for_log("http.max_sessions", 1);
    listen(&world.url().replace("http://", ""));
}

/// Opens a stream, and waits for its first event.
fn listen(address: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /sse HTTP/1.0\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("event:") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "no stream");
    }
    stream
}
