#![no_main]

#[path = "../bodies/edge.rs"]
mod edge;
#[path = "../bodies/mcp.rs"]
mod mcp;
#[path = "../bodies/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp::run(data));
