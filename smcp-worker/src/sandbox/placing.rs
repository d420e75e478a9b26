//! Where and how a plugin runs: its profile put into the terms of the kernel, as far as this machine goes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use rustix::process::getuid;
use smcp_common::config::{Config, Environment};
use smcp_common::plugin::{Plugin, Problem};
use smcp_common::sandbox::{Confinement, Destination, Network, Profile, Report, Start, Terms};
use smcp_common::secret::Redactor;
use tempfile::TempDir;

use super::cgroup::Cgroup;
use super::cgroups::Cgroups;
use super::facilities::{self, Found};
use super::policy::{Namespaces, OWN_WRITABLE, PROXY_PORT, Policy, Reach, Rlimits, SCRATCH};
use super::shared;
use super::tree::processes_of;
use super::users::LentUser;
use crate::doctor::{self, Facts, Namespaces as Kind, User};
use crate::plugin::environment::environment;
use crate::plugin::interpreter::homes;
use crate::plugin::process::Invocation;
use crate::proxy::door::Door;
use crate::proxy::{self, Proxy, Token};

/// Directories that a plugin with a root of its own finds its own at.
const TAKEN: [&str; 4] = ["/dev/shm", "/etc", "/proc", "/tmp"];

/// Finds plugins their places.
#[derive(Debug)]
pub(crate) struct Sandbox {
    cgroups: Cgroups,
    facts: Facts,
    report: Report,
    config: Config,
    environment: Environment,
    /// Where new roots are put together: empty.
    base: PathBuf,
    /// Where scratch directories are made for plugins without a root of their own.
    scratch: PathBuf,
}

/// A place for one plugin, which is its own as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    /// What it is held to.
    pub(crate) policy: Policy,
    /// The same, for people.
    pub(crate) confinement: Confinement,
    /// What it may use.
    pub(crate) profile: Profile,
    /// Its environment, but for what belongs to one call.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Its home, working directory and place for temporary files.
    pub(crate) cwd: PathBuf,
    /// Directories that are its own to write to, of which nothing is left after a call.
    pub(crate) writable: Vec<PathBuf>,
    /// The way out, where its listener is made within its network namespace.
    pub(crate) door: Option<Door>,
    /// The way out, where it has no network of its own.
    _proxy: Option<Proxy>,
    /// Its cgroup, where it has one.
    pub(crate) group: Option<Cgroup>,
    _scratch: Option<TempDir>,
    _user: Option<LentUser>,
}

/// Why there is no place for a plugin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlacingError {
    /// This machine cannot hold it as it must be held.
    #[error("{0}")]
    Unavailable(String),
    /// Files or users are short.
    #[error("a sandbox cannot be prepared: {0}")]
    Short(#[from] io::Error),
}

impl Place {
    /// How `plugin` is started here by `supervisor`, but for the arguments of a call.
    pub(crate) fn start(&self, plugin: &Plugin, supervisor: &Path) -> Invocation {
        let entry = Path::new(&plugin.directory).join(&plugin.entry);
        let (program, args) = match &plugin.interpreter {
            Some(interpreter) => (interpreter.into(), vec![entry.into()]),
            None => (entry, Vec::new()),
        };
        Invocation {
            supervisor: supervisor.to_owned(),
            program,
            args,
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            policy: Some(self.policy.clone()),
            files: Vec::new(),
            redactor: Redactor::default(),
            door: self.door.clone(),
            bait: None,
        }
    }
}

impl Sandbox {
    /// Finds out what there is to confine plugins with. `scratch` is an empty directory of the worker's.
    ///
    /// # Errors
    /// When not even the means to find out are there.
    pub(crate) async fn open(
        supervisor: &Path,
        config: &Config,
        environment: &Environment,
        scratch: &Path,
        worker: &str,
    ) -> io::Result<Self> {
        let cgroups = Cgroups::find(worker.to_owned());
        let base = scratch.join("root");
        fs::create_dir_all(&base)?;
        let Found { facts, probed } =
            facilities::find(supervisor, &base, config.sandbox.namespaces, &cgroups).await?;
        let report = doctor::judged(&facts, config.sandbox.require, &probed);
        Ok(Self {
            cgroups,
            facts,
            report,
            config: config.clone(),
            environment: environment.clone(),
            base,
            scratch: scratch.to_owned(),
        })
    }

    /// How far this machine holds plugins to their profiles.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Where scratch directories are to be made from now on, for users who cannot reach the worker's own.
    pub(crate) fn move_scratch(&mut self, scratch: PathBuf) {
        self.scratch = scratch;
    }

    /// Whether plugins are other users than the worker on the host's own files, and so need a scratch directory that
    /// they can reach.
    pub(crate) fn needs_open_scratch(&self) -> bool {
        self.facts.user == User::Pool && self.facts.namespaces.is_err()
    }

    /// What `plugin` may do, whose manifest asks for `asks`.
    ///
    /// # Errors
    /// [`PlacingError::Unavailable`] where the operator's grants cannot be used for it.
    pub(crate) fn profile(&self, plugin: &Plugin, asks: &Terms) -> Result<Profile, PlacingError> {
        let (profile, _) = self.config.sandbox.permit(plugin, asks);
        self.check_paths(&profile, &self.config.sandbox.grants(&plugin.name))?;
        Ok(profile)
    }

    /// Whether every key of `profile` is enforced here, whatever `sandbox.require` says: a rule wants it.
    ///
    /// # Errors
    /// [`PlacingError::Unavailable`] where one is not.
    pub(crate) fn check_strictly(&self, profile: &Profile) -> Result<(), PlacingError> {
        match doctor::refusal_of_rule(&self.report, profile) {
            Some(refusal) => Err(PlacingError::Unavailable(refusal)),
            None => Ok(()),
        }
    }

    /// A place for runs of `plugin` under `profile`, one at a time.
    ///
    /// # Errors
    /// [`PlacingError`]
    pub(crate) fn place(&self, plugin: &Plugin, profile: Profile) -> Result<Place, PlacingError> {
        if let Some(refusal) = doctor::refusal(&self.report, &profile) {
            return Err(PlacingError::Unavailable(refusal));
        }
        let user = match self.facts.user {
            User::Pool => Some(LentUser::take(&plugin.name)?),
            User::Own | User::Root(_) => None,
        };
        let id = user.as_ref().map(LentUser::id);
        let mut policy = policy(&self.facts, &profile, id, &self.base);
        let group = match &self.facts.cgroup {
            Ok(_) => self.cgroups.create(&profile)?,
            Err(_) => None,
        };
        policy.cgroup = group.as_ref().map(|group| group.path().to_owned());
        if self.facts.cgroup.as_ref().is_ok_and(|cgroup| cgroup.pids) {
            // The cgroup's limit is to be hit first: it tells.
            policy.limits.processes = policy.limits.processes.map(|limit| limit + 8);
        }
        policy.read.push(plugin.directory.clone().into());
        policy.read.extend(self.shared(plugin));
        if let Some(interpreter) = &plugin.interpreter {
            policy.read.extend(homes(Path::new(interpreter)));
            // An interpreter uses what it reserves, unlike runtimes that reserve tens of gigabytes.
            policy.limits.address_bytes = policy.limits.data_bytes;
        }
        let (scratch, cwd, writable) = if policy.namespaces.is_some() {
            let writable = OWN_WRITABLE.map(PathBuf::from);
            (None, PathBuf::from(SCRATCH), writable.to_vec())
        } else {
            let scratch = self.scratch(id)?;
            let path = scratch.path().to_owned();
            policy.write.push(path.clone());
            (Some(scratch), path.clone(), vec![path])
        };
        let mut env = environment(self.environment.variables(), &profile.env, &plugin.name);
        env.push(("HOME".into(), cwd.clone().into()));
        env.push(("TMPDIR".into(), cwd.clone().into()));
        let (door, proxy) = match &profile.network {
            Network::Proxy(allow) => {
                let (door, proxy) = door(&mut policy, allow)?;
                env.extend(proxy::environment(door.port, &door.token));
                (policy.has_own_network().then_some(door), proxy)
            }
            Network::None | Network::LoopbackPorts(_) | Network::Full => (None, None),
        };
        Ok(Place {
            confinement: self.confinement(&policy, &profile),
            policy,
            profile,
            env,
            cwd,
            writable,
            door,
            _proxy: proxy,
            group,
            _scratch: scratch,
            _user: user,
        })
    }

    /// What `plugin` asks for and does not get, for people.
    pub(crate) fn withheld(&self, plugin: &Plugin) -> Vec<Problem> {
        let (_, excess) = self.config.sandbox.permit(plugin, &plugin.asks_at_most());
        let sentences = excess.iter().map(|excess| excess.sentence(&plugin.name));
        sentences.map(Problem::from).collect()
    }

    /// Grants are compared by name; what lies behind a name may have become a link to something else since.
    fn check_paths(&self, profile: &Profile, grants: &[&Terms]) -> Result<(), PlacingError> {
        if profile.read.is_empty() && profile.write.is_empty() {
            return Ok(());
        }
        let real = |path: &PathBuf| path.canonicalize().ok();
        let key = self.config.secrets_key.path().to_owned();
        let own = [&self.config.data_dir, &self.config.database, &key].map(real);
        let lists = grants.iter().map(|terms| &terms.filesystem);
        let granted: Vec<_> = lists
            .flat_map(|files| [&files.read, &files.write])
            .flatten()
            .flatten()
            .filter_map(real)
            .collect();
        for path in profile.read.iter().chain(&profile.write) {
            let Some(found) = real(path) else { continue };
            let path = path.display();
            if own.iter().flatten().any(|own| own.starts_with(&found)) {
                return Err(PlacingError::Unavailable(format!(
                    "The plugin is granted {path}, in which SMCP keeps its own database or keys: grant it what lies beside them."
                )));
            }
            if TAKEN
                .iter()
                .any(|taken| Path::new(taken).starts_with(&found))
            {
                return Err(PlacingError::Unavailable(format!(
                    "The plugin is granted {path}, of which every plugin has one of its own: grant it what it needs below."
                )));
            }
            if !granted.iter().any(|granted| found.starts_with(granted)) {
                return Err(PlacingError::Unavailable(format!(
                    "The plugin asks for {path}, which leads to {}, and that is not granted.",
                    found.display()
                )));
            }
        }
        Ok(())
    }

    /// The files that `plugin` shares with others of its directory, but none beside SMCP's own.
    fn shared(&self, plugin: &Plugin) -> Vec<PathBuf> {
        let Config {
            data_dir,
            database,
            secrets_key,
            ..
        } = &self.config;
        let own = [
            Some(data_dir.as_path()),
            database.parent(),
            secrets_key.path().parent(),
        ];
        let own = own.map(|directory| directory?.canonicalize().ok());
        let mut files = shared::files(Path::new(&plugin.directory));
        files.retain(|file| !own.iter().flatten().any(|own| file.parent() == Some(own)));
        files
    }

    fn scratch(&self, user: Option<u32>) -> io::Result<TempDir> {
        let scratch = tempfile::tempdir_in(&self.scratch)?;
        if let Some(user) = user {
            chown(scratch.path(), Some(user), Some(user))?;
        }
        Ok(scratch)
    }

    fn confinement(&self, policy: &Policy, profile: &Profile) -> Confinement {
        let mut by = Vec::new();
        let mut add = |mechanism: String| by.push(mechanism);
        if let Some(Namespaces { user, .. }) = &policy.namespaces {
            let user = if *user { "user, " } else { "" };
            let network = if policy.has_own_network() {
                ", network"
            } else {
                ""
            };
            add(format!("{user}mount, pid, ipc, uts{network} namespaces"));
        }
        if policy.user.is_some() {
            add("own user".to_owned());
        }
        add("no privileges".to_owned());
        if let Some(version) = policy.landlock {
            add(format!("Landlock ABI {version}"));
        }
        if policy.seccomp {
            add("seccomp".to_owned());
        }
        add("resource limits".to_owned());
        if policy.cgroup.is_some() {
            add("cgroup".to_owned());
        }
        Confinement {
            tier: self.report.tier,
            by,
            partial: doctor::missing(&self.report, profile),
            start: Start::Cold,
            cold_because: None,
        }
    }
}

/// What a plugin of `profile` is held to by what there is, as `user` where that is not the worker's.
pub(super) fn policy(facts: &Facts, profile: &Profile, user: Option<u32>, base: &Path) -> Policy {
    let limits = &profile.limits;
    let namespaces = facts.namespaces.as_ref().ok().map(|kind| Namespaces {
        user: *kind == Kind::OfUser,
        base: base.to_owned(),
        scratch_bytes: profile.scratch_bytes(),
    });
    let processes = match (&namespaces, user) {
        // The first process of the namespace counts as well.
        (Some(Namespaces { user: true, .. }), _) => limits.processes + 1,
        (_, Some(_)) => limits.processes,
        // The kernel counts all that the user has, wherever they are.
        (_, None) => limits.processes + processes_of(getuid()),
    };
    let network = match &profile.network {
        Network::None => Reach::Nobody,
        Network::LoopbackPorts(ports) => Reach::Ports(ports.clone()),
        Network::Proxy(_) => Reach::Proxy(PROXY_PORT),
        Network::Full => Reach::Everybody,
    };
    Policy {
        namespaces,
        user,
        landlock: facts.landlock.as_ref().ok().map(|abi| abi.cast_signed()),
        seccomp: facts.seccomp.is_ok(),
        read: profile.read.clone(),
        write: profile.write.clone(),
        network,
        limits: Rlimits {
            address_bytes: None,
            data_bytes: limits.memory_bytes(),
            processes: Some(processes),
            cpu_s: limits.cpu_s(),
            file_bytes: Some(limits.file_bytes()),
            open_files: Some(limits.open_files),
        },
        cgroup: None,
    }
}

/// The way out to `allow`. Without a network namespace its listener is one of this machine, as long as the place is.
fn door(policy: &mut Policy, allow: &[Destination]) -> io::Result<(Door, Option<Proxy>)> {
    let mut door = Door {
        port: PROXY_PORT,
        allow: allow.to_vec(),
        token: Token::random(),
    };
    if policy.has_own_network() {
        return Ok((door, None));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    door.port = listener.local_addr()?.port();
    policy.network = Reach::Proxy(door.port);
    let proxy = Proxy::serve(listener, door.allow.clone(), door.token.clone())?;
    Ok((door, Some(proxy)))
}
