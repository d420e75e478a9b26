//! The code blocks of a document, done as they are written.
//!
//! | block | what a test makes of it |
//! |---|---|
//! | ```` ```console ```` | Each line after `$ ` is a command for bash (one that ends with `\` goes on in the next line). The lines below it, if there are any, are what it must print. |
//! | ```` ```console fails ```` | The same, but its commands must fail. |
//! | ```` ```console service ```` | Its one command is started, and goes on until the end. The lines below it are awaited. |
//! | ```` ```console skip ```` | Nothing. |
//! | ```` ```LANGUAGE title=PATH ```` | It is written to that file, below the directory that the session began in. |
//! | any other | Nothing: it is an excerpt. |
//!
//! In what a command prints, `…` stands for any text, and alone in a line for any lines.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

use tempfile::TempDir;

use crate::processes;
use crate::world::{PATIENCE, eventually, signal, text};

/// What documents call the address of a server that has been started without any settings.
const ADDRESS: &str = "127.0.0.1:8000";

/// Does what the blocks of a document of the repository say, in order, in an empty directory; the session goes on.
pub(crate) fn follow(document: &str) -> Session {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let mut session = Session::new();
    for block in blocks(&fs::read_to_string(path).unwrap()) {
        session.take(&block);
    }
    session
}

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The number of its first line in the document.
    pub(crate) line: usize,
    /// What follows the fence: a language, and what is to be done.
    pub(crate) info: String,
    /// What is in it, with the line ends.
    pub(crate) text: String,
}

/// A command, and what it prints where the document says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    command: String,
    prints: Vec<String>,
}

/// Somebody who does what a document says: a home directory, a shell, and what has been started.
#[derive(Debug)]
pub(crate) struct Session {
    home: TempDir,
    services: Vec<Child>,
    address: Option<String>,
}

/// The blocks of a text in Markdown.
pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let indented = line.len() - line.trim_start().len();
        let fence: String = line
            .trim_start()
            .chars()
            .take_while(|c| *c == '`')
            .collect();
        if fence.len() < 3 {
            continue;
        }
        let info = line.trim_start_matches([' ', '`']).trim().to_owned();
        let text = lines.by_ref().map(|(_, line)| line);
        let text = text.take_while(|line| line.trim() != fence);
        let text = text.map(|line| {
            let spaces = line.len() - line.trim_start_matches(' ').len();
            line[spaces.min(indented)..].to_owned() + "\n"
        });
        blocks.push(Block {
            line: number + 1,
            info,
            text: text.collect(),
        });
    }
    blocks
}

impl Block {
    fn language(&self) -> &str {
        self.info.split(' ').next().unwrap_or_default()
    }

    fn says(&self, word: &str) -> bool {
        self.info.split(' ').skip(1).any(|said| said == word)
    }

    fn title(&self) -> Option<&str> {
        let mut words = self.info.split(' ');
        words.find_map(|word| word.strip_prefix("title="))
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut goes_on = false;
        for line in self.text.lines() {
            let command = line.strip_prefix("$ ").filter(|_| !goes_on);
            match (command, steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    prints: Vec::new(),
                }),
                (None, Some(step)) if goes_on => step.command += &format!("\n{line}"),
                (None, Some(step)) => step.prints.push(line.to_owned()),
                (None, None) => panic!("line {}: what prints {line:?}?", self.line),
            }
            goes_on = (command.is_some() || goes_on) && line.ends_with('\\');
        }
        steps
    }
}

impl Session {
    /// A new home directory; nothing runs yet.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        // Plugins may be other users than this one.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let session = Self {
            home,
            services: Vec::new(),
            address: None,
        };
        fs::create_dir(session.path("")).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_smcp")).parent().unwrap();
        let mut path = vec![program.to_owned()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(path).unwrap();
        let state = format!(
            "export PATH='{}' HOME='{}' LANG=C.UTF-8 MCP_PORT=0\ncd '{}'\n",
            path.display(),
            session.home.path().display(),
            session.path("").display(),
        );
        fs::write(session.state(), state).unwrap();
        session
    }

    /// A path below the directory that the session began in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("work").join(name)
    }

    /// Does what a block says.
    pub(crate) fn take(&mut self, block: &Block) {
        if let Some(title) = block.title() {
            let path = self.path(title);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &block.text).unwrap();
        } else if block.language() == "console" && !block.says("skip") {
            for step in block.steps() {
                if block.says("service") {
                    self.start(block, &step);
                } else {
                    let (success, printed) = self.run(&step.command);
                    let Step { command, prints } = &step;
                    let place = format!("line {}: {command}", block.line);
                    assert_eq!(success, !block.says("fails"), "{place}\n{printed}");
                    let prints = self.addressed(&prints.join("\n"));
                    assert!(
                        prints.is_empty() || matches(&prints, &printed),
                        "{place}\n{printed}\n--- instead of\n{prints}"
                    );
                }
            }
        }
    }

    /// Runs a command; answers whether it succeeded, and what it printed on either of its streams.
    pub(crate) fn run(&self, command: &str) -> (bool, String) {
        let state = self.state();
        let state = state.display();
        let command = self.addressed(command);
        let script = format!(
            "exec 2>&1\nset -a\nsource '{state}'\n{command}\nstatus=$?\n{{ export -p; echo \"cd '$PWD'\"; }} >'{state}'\nexit $status\n"
        );
        let output = Command::new("timeout")
            .args([&PATIENCE.as_secs().to_string(), "bash", "-c", &script])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.success(), text(&output.stdout))
    }

    fn start(&mut self, block: &Block, step: &Step) {
        let state = self.state();
        // Its log is nothing that a document shows.
        let script = format!(
            "source '{}'\nexec {} 2>>'{}'\n",
            state.display(),
            step.command,
            self.log().display()
        );
        let mut child = Command::new("bash")
            .args(["-c", &script])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (mut stdout, heard) = (child.stdout.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                heard.lock().unwrap().push_str(&text(&buffer[..read]));
            }
        });
        self.services.push(child);
        let address = eventually(&format!("line {} says where it is", block.line), || {
            let said = said.lock().unwrap();
            let (_, address) = said.split_once("http://")?;
            Some(address.split_once('/')?.0.to_owned())
        });
        let port = address.rsplit(':').next().unwrap_or_default();
        let set = format!("export MCP_PORT={port}\n");
        let state = fs::read_to_string(self.state()).unwrap() + &set;
        fs::write(self.state(), state).unwrap();
        self.address = Some(address);
        let prints = self.addressed(&step.prints.join("\n"));
        eventually(&format!("line {} prints\n{prints}\n", block.line), || {
            matches(&prints, &said.lock().unwrap()).then_some(())
        });
    }

    /// A text of a document, with the address that is really listened at.
    fn addressed(&self, text: &str) -> String {
        text.replace(ADDRESS, self.address.as_deref().unwrap_or(ADDRESS))
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// A script that makes a shell go on where the last one was.
    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }
}

impl Drop for Session {
    #[expect(clippy::print_stderr, reason = "shown only where the test fails")]
    fn drop(&mut self) {
        for service in &mut self.services {
            signal(service.id(), "TERM");
            let _ended = service.wait();
        }
        if thread::panicking() {
            let log = fs::read(self.log()).unwrap_or_default();
            return eprintln!("--- log ---\n{}", text(&log));
        }
        eventually("everything that was started has ended", || {
            processes::of(self.home.path()).is_empty().then_some(())
        });
    }
}

/// Whether `printed` is what the document shows of it.
fn matches(shown: &str, printed: &str) -> bool {
    let shown: Vec<_> = shown.trim_end().lines().map(str::trim_end).collect();
    let printed: Vec<_> = printed.trim_end().lines().map(str::trim_end).collect();
    lines_match(&shown, &printed)
}

fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        ["…", rest @ ..] => (0..=printed.len()).any(|from| lines_match(rest, &printed[from..])),
        [line, rest @ ..] => printed
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others)),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else {
        return shown == printed;
    };
    let Some(rest) = printed.strip_prefix(before) else {
        return false;
    };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| line_matches(after, &rest[at..]))
}

#[test]
fn blocks_are_found_with_what_is_to_be_done() {
    let markdown = "\
Text\n\n```console\n$ echo one \\\n    two\none two\n$ true\n```\n\n\
1. In a list:\n\n   ```python title=a/cli.py\n   if True:\n       pass\n   ```\n\n\
````text\n```\n````\n";
    let found = blocks(markdown);
    let infos: Vec<_> = found.iter().map(|block| block.info.as_str()).collect();
    assert_eq!(infos, ["console", "python title=a/cli.py", "text"]);
    assert_eq!(found[1].text, "if True:\n    pass\n");
    assert_eq!((found[1].title(), found[1].line), (Some("a/cli.py"), 12));
    assert_eq!(found[2].text, "```\n");
    let steps: Vec<_> = found[0].steps();
    assert_eq!(steps[0].command, "echo one \\\n    two");
    assert_eq!(
        (&steps[0].prints[..], steps.len()),
        (&["one two".to_owned()][..], 2)
    );
}

#[test]
fn a_session_does_what_is_written_and_sees_what_is_not_so() {
    let mut session = Session::new();
    let document = "```text title=a/b\nhello\n```\n\
                    ```console\n$ cd a && export WHOM=world\n$ cat b; echo $WHOM\nhello\nwor…\n$ seq 9\n1\n…\n9\n```\n\
                    ```console fails\n$ cat nothing\n```\n";
    for block in blocks(document) {
        session.take(&block);
    }
    assert!(!matches("1\n…\n8", "1\n2\n9"));
    assert!(!matches("1", "1\n2"));
    assert!(matches("a … c …", "a b c d"));
    assert!(!matches("a … c", "a b d"));
}
