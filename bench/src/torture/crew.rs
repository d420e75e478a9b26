//! The processes: an API and workers, each of which is started again as soon as it has been killed.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;

use crate::server::{Program, Role, Start, wait_for_tool};

/// How often the system is asked for processes that should have ended.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often it is asked at the most.
const ASK: usize = 100;

#[derive(Debug)]
pub(super) struct Crew {
    smcp: PathBuf,
    data: PathBuf,
    plugins: PathBuf,
    address: SocketAddr,
    api: Role,
    workers: Vec<Role>,
}

impl Crew {
    /// Starts all of them, and returns when the tools can be called.
    pub(super) async fn start(
        program: &Program,
        data: &Path,
        plugins: &Path,
        workers: u32,
    ) -> anyhow::Result<Self> {
        let smcp = program.path()?;
        let mut api = start(&smcp, data, plugins, &["api", "--port", "0"])?;
        let address = api.address().await?;
        let workers = (0..workers).map(|_| start(&smcp, data, plugins, &["worker"]));
        let workers = workers.collect::<Result<_, _>>()?;
        wait_for_tool(address, "torture__once").await?;
        Ok(Self {
            smcp,
            data: data.to_owned(),
            plugins: plugins.to_owned(),
            address,
            api,
            workers,
        })
    }

    /// Where the API listens, as long as it does.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the API and starts another at the same place.
    pub(super) async fn kill_api(&mut self) -> anyhow::Result<()> {
        self.api.kill().await?;
        let port = self.address.port().to_string();
        self.api = self.start_another(&["api", "--port", &port])?;
        self.api.address().await?;
        Ok(())
    }

    /// Kills a worker and starts another.
    pub(super) async fn kill_worker(&mut self, number: u32) -> anyhow::Result<()> {
        let another = self.start_another_after(number).await?;
        let worker = self.worker(number)?;
        *worker = another;
        Ok(())
    }

    async fn start_another_after(&mut self, number: u32) -> anyhow::Result<Role> {
        self.worker(number)?.kill().await?;
        self.start_another(&["worker"])
    }

    fn worker(&mut self, number: u32) -> anyhow::Result<&mut Role> {
        let worker = self.workers.get_mut(usize::try_from(number)?);
        worker.context("there is no such worker")
    }

    fn start_another(&self, arguments: &[&str]) -> anyhow::Result<Role> {
        start(&self.smcp, &self.data, &self.plugins, arguments)
    }

    /// Ends all of them in order.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.api.stop().await?;
        for worker in self.workers {
            worker.stop().await?;
        }
        Ok(())
    }
}

fn start(smcp: &Path, data: &Path, plugins: &Path, arguments: &[&str]) -> anyhow::Result<Role> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(data.join("log"))?;
    Role::start(Start {
        smcp,
        arguments,
        data,
        plugins: Some(plugins),
        log: Some(log),
    })
}

/// How many processes still have to do with a directory after some time: they work in it, their arguments or their
/// environment name it, or it is a part of what they see as the file system.
pub(super) async fn left_over(directory: &Path) -> anyhow::Result<usize> {
    for _ in 1..ASK {
        if processes_of(directory)? == 0 {
            return Ok(0);
        }
        sleep(ASK_EVERY).await;
    }
    processes_of(directory)
}

fn processes_of(directory: &Path) -> anyhow::Result<usize> {
    let name = directory.as_os_str().as_bytes();
    let concerns = |process: &Path| {
        let names = |file: &str| {
            fs::read(process.join(file))
                .is_ok_and(|text| text.windows(name.len()).any(|part| part == name))
        };
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
            || names("cmdline")
            || names("environ")
            || names("mountinfo")
    };
    let mut found = 0;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let is_process = path
            .file_name()
            .is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit));
        found += usize::from(is_process && concerns(&path));
    }
    Ok(found)
}
