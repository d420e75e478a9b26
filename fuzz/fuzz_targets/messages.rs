#![no_main]

#[path = "../bodies/edge.rs"]
mod edge;
#[path = "../bodies/messages.rs"]
mod messages;
#[path = "../bodies/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::run(data));
