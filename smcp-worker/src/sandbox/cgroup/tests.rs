use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::group::count;
use super::*;

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";

#[test]
fn the_own_cgroup_is_found_in_what_the_kernel_tells() {
    let rows = [
        (
            "a host",
            "0::/smcp.service\n",
            V2,
            "/sys/fs/cgroup/smcp.service",
        ),
        (
            "a host with both versions",
            "9:name=systemd:/a\n4:memory:/a\n0::/b/c\n",
            HYBRID,
            "/sys/fs/cgroup/unified/b/c",
        ),
        ("a container", "0::/\n", V2, "/sys/fs/cgroup"),
        (
            "a container that knows where it is",
            "0::/docker/4f/smcp\n",
            "9 1 0:26 /docker/4f /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            "/sys/fs/cgroup/smcp",
        ),
        (
            "outside of its namespace, with a mount from there",
            "0::/../../a\n",
            "9 1 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
            "/sys/fs/cgroup/a",
        ),
        (
            "names as systemd writes them",
            "0::/app-a\\x2db.scope\n",
            "9 1 0:26 /app-a\\134x2db.scope /mnt/c\\040g rw - cgroup2 cgroup rw\n",
            "/mnt/c g",
        ),
    ];
    for (what, cgroup, mountinfo, expected) in rows {
        let found = places(cgroup, mountinfo);
        assert_eq!(found, Ok(vec![PathBuf::from(expected)]), "{what}");
    }
    assert_eq!(
        places("0::/a\n", &format!("{V2}{HYBRID}")).map(|found| found.len()),
        Ok(2)
    );
}

#[test]
fn whoever_has_no_cgroup_is_told_why() {
    let rows = [
        ("4:memory:/a\n", V1, "has no cgroups of version 2"),
        ("4:memory:/a\n0::/\n", V1, "not mounted anywhere"),
        ("0::/../..\n", V2, "/../.., lies outside"),
        (
            "0::/b\n",
            "9 1 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
            "/b, lies outside",
        ),
        ("", "", "has no cgroups"),
    ];
    for (cgroup, mountinfo, expected) in rows {
        let why = places(cgroup, mountinfo).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn counters_are_read_by_their_whole_name() {
    let events = "low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\noom_group_kill 1\n";
    assert_eq!(count(events, "oom_kill"), Some(1));
    assert_eq!(count(events, "max"), Some(17));
    assert_eq!(count(events, "kill"), None);
    assert_eq!(count("", "max"), None);
}

#[test]
fn a_cgroup_tells_whose_it_is() {
    let owner = |name| owner(OsStr::new(name));
    assert_eq!(owner("smcp-w-1f2e-7"), Some("w-1f2e"));
    assert_eq!(owner("smcp-w-1f2e-warm-7"), Some("w-1f2e-warm"));
    assert_eq!(owner("smcp"), None);
    assert_eq!(owner("system.slice"), None);
}

/// One test at a time moves the process of all of them.
static TURN: Mutex<()> = Mutex::new(());

/// The delegation of this machine, with what `is_enough` looks for; says so where there is none.
fn delegation(
    is_enough: impl Fn(Controllers) -> bool,
) -> Option<(Delegation, MutexGuard<'static, ()>)> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match Delegation::find() {
        Err(why) => println!("nothing was tested: {why}"),
        Ok(found) if is_enough(found.controllers()) => return Some((found, turn)),
        Ok(found) => println!("nothing was tested: {:?}", found.shortfall()),
    }
    None
}

/// A shell that enters `group` and then runs `script`.
#[expect(clippy::disallowed_methods, reason = "a process to be contained")]
fn start(group: &Cgroup, script: &str) -> Child {
    let script = format!("echo 0 > \"$0/cgroup.procs\" || exit 99\n{script}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(group.path());
    command.spawn().unwrap()
}

/// Kills `group`, and answers how the shell in it ended.
fn kill(group: &Cgroup, mut shell: Child) -> ExitStatus {
    group.kill().unwrap();
    shell.wait().unwrap()
}

fn until(what: impl Fn() -> bool) {
    let begun_at = Instant::now();
    while !what() {
        assert!(begun_at.elapsed() < Duration::from_secs(60));
        thread::sleep(PAUSE);
    }
}

/// Names that no other run of the tests uses at the same time.
fn name(test: &str) -> String {
    format!("w-test{}-{test}", std::process::id())
}

#[test]
fn all_of_a_cgroup_is_counted_and_ends_with_it() {
    let Some((delegation, _turn)) = delegation(|_| true) else {
        return;
    };
    let group = delegation.create(&name("end"), None, None).unwrap();
    let path = group.path().to_owned();
    assert!(delegation.create(&name("end"), None, None).is_err());
    let shell = start(
        &group,
        "setsid sh -c 'while :; do :; done' & sleep 600 & wait",
    );
    until(|| processes(&path).unwrap().len() == 3);
    until(|| group.cpu_usage().unwrap() > Duration::from_millis(20));
    assert_eq!(kill(&group, shell).code(), None);
    assert_eq!(group.hits(), Hits::default());
    until(|| processes(&path).unwrap().is_empty());
    group.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_process_joins_by_itself() {
    let Some((delegation, _turn)) = delegation(|_| true) else {
        return;
    };
    let home = own().unwrap();
    let group = delegation.create(&name("join"), None, None).unwrap();
    join(group.path()).unwrap();
    let joined = own();
    join(&home).unwrap();
    assert_eq!(joined.as_deref(), Ok(group.path()));
    assert_eq!(own(), Ok(home));
    // Another test may have started something meanwhile.
    until(|| processes(group.path()).unwrap().is_empty());
}

#[test]
fn what_is_left_in_a_dropped_cgroup_goes_with_it() {
    let Some((delegation, _turn)) = delegation(|_| true) else {
        return;
    };
    let group = delegation.create(&name("drop"), None, None).unwrap();
    let path = group.path().to_owned();
    fs::create_dir(path.join("below")).unwrap();
    let mut shell = start(&group, "echo 0 > $0/below/cgroup.procs; sleep 600");
    until(|| processes(&path.join("below")).unwrap().len() == 2);
    drop(group);
    assert!(!path.exists());
    assert_eq!(shell.wait().unwrap().code(), None);
}

#[test]
fn a_sweep_takes_what_the_dead_have_left_and_nothing_else() {
    let Some((delegation, _turn)) = delegation(|_| true) else {
        return;
    };
    let worker = name("dead");
    let left = delegation
        .create(&format!("{worker}-1"), None, None)
        .unwrap();
    let other = delegation.create(&name("alive-1"), None, None).unwrap();
    let mut shell = start(&left, "sleep 600");
    until(|| !processes(left.path()).unwrap().is_empty());
    delegation.sweep(|id| id == worker);
    assert!(!left.path().exists());
    assert!(other.path().exists());
    assert_eq!(shell.wait().unwrap().code(), None);
    left.remove().unwrap();
}

#[test]
fn memory_is_limited_as_a_whole() {
    let Some((delegation, _turn)) = delegation(|found| found.memory) else {
        return;
    };
    let limit = Some(64 * 1024 * 1024);
    let group = delegation.create(&name("memory"), limit, None).unwrap();
    // None of them alone needs more than there is.
    let part = "head -c 20000000 /dev/zero | { tail -c 20000000; sleep 600; } > /dev/null &\n";
    let mut shell = start(&group, &format!("{part}{part}{part}{part}wait"));
    until(|| group.hits().memory);
    assert_eq!(shell.wait().unwrap().code(), None);
    until(|| processes(group.path()).unwrap().is_empty());
    group.remove().unwrap();
}

#[test]
fn processes_are_limited_as_a_whole() {
    let Some((delegation, _turn)) = delegation(|found| found.pids) else {
        return;
    };
    let group = delegation.create(&name("pids"), None, Some(8)).unwrap();
    let shell = start(
        &group,
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done; wait",
    );
    until(|| group.hits().processes);
    assert!(processes(group.path()).unwrap().len() <= 8);
    kill(&group, shell);
    group.remove().unwrap();
}
