//! The plugin greeter. SMCP calls it as `cli --describe`, and as `cli COMMAND --name value ...`.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::process::ExitCode;

/// What there is to call, in the words of the contract.
const CONTRACT: &str = include_str!("../describe.json");

/// Why a command has failed: a stable code, and a sentence that says what to do.
struct Failure(&'static str, String);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match run(&words) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(Failure(code, message)) => {
            println!(
                "{{\"ok\": false, \"code\": \"{code}\", \"error\": {}}}",
                quoted(&message)
            );
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<String, Failure> {
    match words.split_first() {
        Some((command, _)) if command == "--describe" => Ok(CONTRACT.trim_end().to_owned()),
        Some((command, options)) if command == "greet" => greet(&parsed(options)?),
        _ => Err(Failure(
            "command_unknown",
            "the only command is greet".to_owned(),
        )),
    }
}

fn greet(options: &BTreeMap<&str, &str>) -> Result<String, Failure> {
    let name = options.get("--full-name").copied().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Failure(
            "name_missing",
            "full_name is empty: say whom to greet".to_owned(),
        ));
    }
    let times = options.get("--times").copied().unwrap_or("1");
    let times: u32 = times.parse().map_err(|_| {
        Failure(
            "invalid_arguments",
            format!("times is {times}: a number is expected"),
        )
    })?;
    let mut greetings = Vec::new();
    for number in 1..=times {
        greetings.push(format!("Hello, {name}!"));
        progress(number, times);
    }
    Ok(greetings.join(" "))
}

/// The options of a call: `--name value`, or `--name=value` where the value begins with a hyphen.
fn parsed(words: &[String]) -> Result<BTreeMap<&str, &str>, Failure> {
    let mut options = BTreeMap::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), words.next().map(String::as_str)),
        };
        let missing = || Failure("invalid_arguments", format!("{name} needs a value"));
        options.insert(name, value.ok_or_else(missing)?);
    }
    Ok(options)
}

/// Tells whoever follows the call how far it is.
fn progress(done: u32, total: u32) {
    let number = env::var("SMCP_EVENTS_FD").ok();
    let Some(number) = number.and_then(|number| number.parse().ok()) else {
        return;
    };
    // SAFETY: SMCP has opened this descriptor for the plugin, and nothing here closes it: the file is never dropped.
    let mut events = ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
    // Nobody may listen.
    writeln!(events, "{{\"progress\": {done}, \"total\": {total}}}").unwrap_or_default();
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
