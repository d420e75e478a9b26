#![no_main]

#[path = "../bodies/edge.rs"]
mod edge;
#[path = "../bodies/messages.rs"]
mod messages;
#[expect(dead_code, reason = "only `mcp` sends headers that repeat the payload")]
#[path = "../bodies/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::run(data));
