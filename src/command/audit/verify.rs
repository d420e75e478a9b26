//! `smcp audit verify`: an export or a database, with the public key alone.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use smcp_common::audit::{
    Checkpoint, Finding, PUBLIC_KEY_FILE, PublicKey, Trust, Verified, verify_export,
};
use smcp_common::config::Flags;
use smcp_common::queue;

use crate::cli::AuditVerify;
use crate::failure::BadUsage;
use crate::settings;
use crate::terminal::{print, print_json, warn};

/// How every SQLite database begins.
const DATABASE: &[u8] = b"SQLite format 3\0";
/// Bytes that are read of an export at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Verifies what is asked for.
pub(super) fn run(options: &AuditVerify) -> anyhow::Result<ExitCode> {
    let config = settings::load(&Flags::from(&options.storage))?.config;
    let mut keys = Vec::new();
    for given in &options.key {
        keys.push(key(given)?);
    }
    if keys.is_empty() {
        keys.extend(local_key(&config.data_dir)?);
    }
    let mut anchors = Vec::new();
    for file in &options.anchor {
        anchors.extend(read_anchor(file)?);
    }
    let trust = Trust { keys, anchors };
    let file = options.file.as_ref().unwrap_or(&config.database);
    let result = verify(file, trust)?;
    let code = match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    };
    if options.json {
        print_json(&told(file, &result))?;
    } else {
        print(&render(&result))?;
    }
    Ok(code)
}

/// The public key in the data directory, if there is one.
///
/// # Errors
/// It is there, but cannot be read, or is no key.
pub(crate) fn local_key(data_dir: &Path) -> anyhow::Result<Option<PublicKey>> {
    let path = data_dir.join(PUBLIC_KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(parse(&text, &path.display().to_string())?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, &error).into()),
    }
}

/// A key that is given as itself, or as a file.
fn key(given: &str) -> Result<PublicKey, BadUsage> {
    if let Some(key) = PublicKey::parse(given) {
        return Ok(key);
    }
    let path = PathBuf::from(given);
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    parse(&text, given)
}

fn parse(text: &str, name: &str) -> Result<PublicKey, BadUsage> {
    PublicKey::parse(text).ok_or_else(|| {
        BadUsage(format!(
            "{name} is no public key, which is 64 hexadecimal digits, as in {PUBLIC_KEY_FILE} in the data directory"
        ))
    })
}

/// The checkpoints in a file. A line that is none may have been cut off by a full disk.
fn read_anchor(path: &Path) -> anyhow::Result<Vec<Checkpoint>> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut checkpoints = Vec::new();
    for (n, line) in (1..).zip(text.lines()) {
        match Checkpoint::parse(line) {
            Some(checkpoint) => checkpoints.push(checkpoint),
            None => warn(&format!("line {n} of {} is no checkpoint", path.display()))?,
        }
    }
    if checkpoints.is_empty() {
        let why = format!("there is no checkpoint in {}", path.display());
        return Err(BadUsage(why).into());
    }
    Ok(checkpoints)
}

fn verify(path: &Path, trust: Trust) -> anyhow::Result<Result<Verified, Finding>> {
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut beginning = [0; DATABASE.len()];
    let is_database = file.read_exact(&mut beginning).is_ok() && beginning == *DATABASE;
    if is_database {
        let result = queue::verify_audit(path, trust);
        return Ok(result.map_err(|error| BadUsage(error.to_string()))?);
    }
    file.rewind().map_err(|error| unreadable(path, &error))?;
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    let result = verify_export(file, trust);
    Ok(result.map_err(|error| BadUsage(format!("{}: {error}", path.display())))?)
}

fn unreadable(path: &Path, error: &io::Error) -> BadUsage {
    BadUsage(format!("cannot read {}: {error}", path.display()))
}

fn told(file: &Path, result: &Result<Verified, Finding>) -> serde_json::Value {
    match result {
        Ok(found) => json!({
            "file": file,
            "sound": true,
            "first": found.first,
            "last": found.last,
            "signed": found.signed,
            "checkpoints": found.checkpoints,
            "anchors": found.anchors,
            "signatures_checked": found.signatures,
        }),
        Err(finding) => json!({
            "file": file,
            "sound": false,
            "record": finding.record,
            "line": finding.line,
            "finding": finding.to_string(),
        }),
    }
}

fn render(result: &Result<Verified, Finding>) -> String {
    let found = match result {
        Ok(found) => found,
        Err(finding) => return format!("broken: {finding}\n"),
    };
    let Verified {
        first,
        last,
        signed,
        checkpoints,
        anchors,
        signatures,
    } = *found;
    if last < first {
        return "there are no records, and nothing says that there were any\n".to_owned();
    }
    let mut text = format!("records: {first} to {last}, each follows from the one before\n");
    let checked = if signatures {
        "signed"
    } else {
        "signatures not looked at, for want of a key: see --key"
    };
    text += &match (checkpoints, anchors) {
        (0, 0) => "checkpoints: none, so that all of it could have been made anew\n".to_owned(),
        (own, 0) => format!("checkpoints: {own} ({checked})\n"),
        (own, kept) => format!("checkpoints: {own}, and {kept} of the anchor ({checked})\n"),
    };
    if signed > 0 && signed < last {
        text += &format!("not signed yet: records {} to {last}\n", signed + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use smcp_common::audit::Problem;

    use super::*;

    #[test]
    fn what_was_found_is_told() {
        let found = Verified {
            first: 1,
            last: 20,
            signed: 10,
            checkpoints: 1,
            anchors: 0,
            signatures: true,
        };
        let said = |found| render(&Ok(found));
        assert_eq!(
            said(found),
            "records: 1 to 20, each follows from the one before\ncheckpoints: 1 (signed)\nnot signed yet: records 11 to 20\n"
        );
        let anchored = Verified {
            anchors: 2,
            signed: 20,
            signatures: false,
            ..found
        };
        assert!(said(anchored).ends_with(
            "1, and 2 of the anchor (signatures not looked at, for want of a key: see --key)\n"
        ));
        let unsigned = Verified {
            signed: 0,
            checkpoints: 0,
            ..found
        };
        assert!(said(unsigned).contains("could have been made anew"));
        assert!(
            said(Verified {
                last: 0,
                ..unsigned
            })
            .starts_with("there are no records")
        );
        let broken = Finding {
            record: 17,
            line: Some(18),
            problem: Problem::Repeated,
        };
        assert_eq!(
            render(&Err(broken)),
            "broken: record 17: comes twice (line 18)\n"
        );
    }
}
