//! A worker of one run: runs the program named by its arguments as a plugin, and prints
//! what that printed and how it ended. `--policy JSON` before the program confines it. The process tests use it as
//! supervisor, too.

use std::future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use smcp_worker::plugin::process::{Invocation, Limits, Output, SUPERVISOR_COMMAND, run};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    let policy = args
        .next_if(|first| first == "--policy")
        .and_then(|_| serde_json::from_slice(args.next()?.as_encoded_bytes()).ok());
    let Some(program) = args.next() else {
        return ExitCode::FAILURE;
    };
    if program == SUPERVISOR_COMMAND {
        return smcp_worker::sandbox::exec::main();
    }
    let invocation = Invocation {
        supervisor: PathBuf::from("/proc/self/exe"),
        program: program.into(),
        args: args.collect(),
        env: Vec::new(),
        cwd: PathBuf::from("/"),
        policy,
        files: Vec::new(),
        redactor: smcp_common::secret::Redactor::default(),
        door: None,
        bait: None,
    };
    match work(&invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[tokio::main]
async fn work(invocation: &Invocation) -> Result<(), Box<dyn std::error::Error>> {
    let (sender, mut receiver) = mpsc::channel(8);
    let printed = async {
        while let Some(output) = receiver.recv().await {
            if let Output::Stdout(chunk) = output {
                std::io::stdout().write_all(&chunk)?;
                std::io::stdout().flush()?;
            }
        }
        std::io::Result::Ok(())
    };
    let limits = Limits::default();
    let (ended, printed) =
        tokio::join!(run(invocation, &limits, future::pending(), sender), printed);
    printed?;
    writeln!(std::io::stderr(), "{:?}", ended?.exit)?;
    Ok(())
}
