//! Where checkpoints of the audit chain are kept outside the database: a file that is only ever added to, or whatever
//! the operator's command does with them.

mod command;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use smcp_common::audit::Checkpoint;
use smcp_common::config;
use smcp_common::key_file::directory_of;

/// Where checkpoints go.
#[derive(Debug)]
pub(crate) struct Anchor {
    file: Option<PathBuf>,
    command: Vec<String>,
}

impl Anchor {
    /// The anchor that is configured, if one is.
    pub(crate) fn of(config: &config::Audit) -> Option<Self> {
        let config::Audit {
            anchor_file,
            anchor_command,
        } = config.clone();
        (anchor_file.is_some() || !anchor_command.is_empty()).then_some(Self {
            file: anchor_file,
            command: anchor_command,
        })
    }

    /// Hands a checkpoint over. It may be handed over again, where this process ends before it is known that it was.
    ///
    /// # Errors
    /// Why it is not held, in a sentence.
    pub(crate) async fn hold(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let line = format!("{}\n", checkpoint.line());
        if let Some(file) = &self.file {
            append(file, &line).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        match self.command.as_slice() {
            [program, arguments @ ..] => command::run(program, arguments, &line).await,
            [] => Ok(()),
        }
    }
}

/// Adds a line to a file; it has reached the disk when this returns.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let is_new = !path.try_exists()?;
    let mut file = File::options()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    let mut text = line.to_owned();
    // A line that a full disk has cut off must not spoil this one.
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.insert(0, '\n');
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if is_new {
        File::open(directory_of(path))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use smcp_common::audit::{Signer, Tip};
    use smcp_common::clock::Timestamp;
    use smcp_common::key_file::Key;

    use super::*;

    fn checkpoint() -> Checkpoint {
        let signer = Signer::new(&Key::new([9; 32]));
        let tip = Tip {
            chain: "c1",
            seq: 17,
            hash: &[3; 32],
        };
        Checkpoint::sign(&signer, tip, Timestamp::from_millis(5))
    }

    fn command(words: &[&str]) -> Anchor {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Anchor {
            file: None,
            command,
        }
    }

    #[tokio::test]
    async fn a_file_is_added_to_and_a_line_that_was_cut_off_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("anchors.jsonl");
        let anchor = Anchor {
            file: Some(path.clone()),
            command: Vec::new(),
        };
        anchor.hold(&checkpoint()).await.unwrap();
        let line = checkpoint().line();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{line}\n"));
        fs::write(&path, format!("{line}\nhalf a li")).unwrap();
        anchor.hold(&checkpoint()).await.unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{line}\nhalf a li\n{line}\n")
        );
        let nowhere = Anchor {
            file: Some(directory.path().join("no/such/file")),
            command: Vec::new(),
        };
        let said = nowhere.hold(&checkpoint()).await.unwrap_err();
        assert!(said.contains("no/such/file"), "{said}");
    }

    #[tokio::test]
    async fn a_command_gets_the_checkpoint_on_its_standard_input() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("got");
        let script = format!("cat > {}", path.display());
        command(&["/bin/sh", "-c", &script])
            .hold(&checkpoint())
            .await
            .unwrap();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            format!("{}\n", checkpoint().line())
        );
        // One that does not read it has not failed for that.
        command(&["/bin/true"]).hold(&checkpoint()).await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_fails_is_quoted() {
        let rows = [
            (
                ["/bin/sh", "-c", "echo no route >&2; exit 3"].as_slice(),
                "exit status: 3: no route",
            ),
            (&["/no/such/program"], "/no/such/program cannot be started"),
        ];
        for (words, expected) in rows {
            let said = command(words).hold(&checkpoint()).await.unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_all_that_it_has_started() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", path.display());
        let began = std::time::Instant::now();
        let (arguments, limit) = (["-c".to_owned(), script], std::time::Duration::from_secs(1));
        let said = command::run_for("/bin/sh", &arguments, "", limit).await;
        assert!(said.unwrap_err().contains("has not ended after 1 s"));
        assert!(began.elapsed().as_secs() < 10);
        let pid = fs::read_to_string(path).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        while state().is_ok_and(|state| !state.contains(") Z")) {
            tokio::task::yield_now().await;
        }
    }
}
