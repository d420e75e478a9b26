#![no_main]

#[path = "../bodies/describe.rs"]
mod describe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| describe::run(data));
