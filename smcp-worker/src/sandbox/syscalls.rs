//! seccomp: the system calls that a plugin has no use for, but an attack would.
//!
//! A list of what is denied, not of what is allowed: plugins are programs in any language, and a list of what all of
//! them need would be almost as long as the kernel's. What must not be reachable at all is also out of reach by
//! Landlock, namespaces or missing privileges.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::policy::{Policy, Reach};

/// Why the filter is not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyscallsError {
    /// There is no filter for this kind of processor.
    #[error("no system call filter for {}", std::env::consts::ARCH)]
    Processor,
    /// The rules do not make a filter.
    #[error("{0}")]
    Rules(#[from] BackendError),
    /// The kernel refuses it.
    #[error("{0}")]
    Kernel(#[from] seccompiler::Error),
}

/// Denies this process, and what it starts from now on, what a run under `policy` has no use for. The last thing to
/// do before a program is started, as it denies much of what a sandbox is made with.
///
/// # Errors
/// [`SyscallsError`]
pub(super) fn apply(policy: &Policy) -> Result<(), SyscallsError> {
    for program in programs(policy)? {
        apply_filter(&program)?;
    }
    Ok(())
}

fn programs(policy: &Policy) -> Result<Vec<BpfProgram>, SyscallsError> {
    let arch =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| SyscallsError::Processor)?;
    let mut denied = Rules::default();
    for call in DENIED {
        denied.always(*call);
    }
    if policy.namespaces.is_none() {
        for call in ATTRIBUTES.iter().chain(SEGMENTS) {
            denied.always(*call);
        }
        if policy.user.is_none() {
            // Landlock does not cover these, and the files of the worker's user are the plugin's to change.
            for call in METADATA {
                denied.always(*call);
            }
            manners_of_others(&mut denied)?;
        }
    }
    namespaces(&mut denied)?;
    terminals(&mut denied)?;
    sockets(&mut denied, &policy.network)?;
    let mut unknown = Rules::default();
    for call in UNKNOWN {
        unknown.always(*call);
    }
    let mut programs = vec![
        unknown.compile(libc::ENOSYS, arch)?,
        denied.compile(libc::EPERM, arch)?,
    ];
    if matches!(arch, TargetArch::x86_64) {
        programs.push(no_x32());
    }
    Ok(programs)
}

/// Denied with `EPERM`.
const DENIED: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Kernel interfaces with a history of escapes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_memfd_secret,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    // The machine.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_mknodat,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Denied with `ENOSYS`, so that libraries fall back to what they did before these existed: the arguments of `clone3`
/// are in memory, where no filter sees them, and `io_uring` makes calls that no filter sees at all.
const UNKNOWN: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// What changes a file without opening it, where everybody may write to it.
const ATTRIBUTES: &[c_long] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
];

/// What makes memory and queues that belong to no process: without an IPC namespace they outlive the plugin.
const SEGMENTS: &[c_long] = &[
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
];

/// What changes a file without opening it, where it is the user's own.
const METADATA: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Calls of Linux 6.6 and 6.13 that the C library's headers do not name everywhere; their numbers are the same on every
/// kind of processor that this runs on.
const SYS_FCHMODAT2: c_long = 452;
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;

/// That `ioprio_set` is about a process, which the C library's headers do not name.
const IOPRIO_WHO_PROCESS: u64 = 1;

/// `clone` may make processes and threads, but no namespaces.
fn namespaces(denied: &mut Rules) -> Result<(), BackendError> {
    let flags = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    for flag in flags {
        denied.when(libc::SYS_clone, &[has(0, flag)?])?;
    }
    Ok(())
}

/// Limits and priorities of the user's other processes, the worker among them: one limit is enough to end it. A
/// process may still set its own, for which 0 stands.
fn manners_of_others(denied: &mut Rules) -> Result<(), BackendError> {
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ] {
        denied.when(call, &[argument(0, SeccompCmpOp::Ne, 0)?])?;
    }
    for (call, process) in [
        (
            libc::SYS_setpriority,
            number(libc::PRIO_PROCESS.cast_signed()),
        ),
        (libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS),
    ] {
        denied.when(call, &[argument(0, SeccompCmpOp::Ne, process)?])?;
        denied.when(call, &[argument(1, SeccompCmpOp::Ne, 0)?])?;
    }
    Ok(())
}

/// A terminal, were there one, must not be made to type.
fn terminals(denied: &mut Rules) -> Result<(), BackendError> {
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        denied.when(libc::SYS_ioctl, &[argument(1, SeccompCmpOp::Eq, request)?])?;
    }
    Ok(())
}

/// Sockets for what may be reached, and no others. Pairs of them are pipes.
fn sockets(denied: &mut Rules, network: &Reach) -> Result<(), BackendError> {
    denied.when(
        libc::SYS_socketpair,
        &[argument(0, SeccompCmpOp::Ne, number(libc::AF_UNIX))?],
    )?;
    let is_datagram_allowed = match network {
        Reach::Nobody => {
            denied.always(libc::SYS_socket);
            return Ok(());
        }
        Reach::Ports(_) | Reach::Proxy(_) => false,
        Reach::Everybody => true,
    };
    let not_inet = [
        argument(0, SeccompCmpOp::Ne, number(libc::AF_INET))?,
        argument(0, SeccompCmpOp::Ne, number(libc::AF_INET6))?,
    ];
    denied.when(libc::SYS_socket, &not_inet)?;
    // The type shares its argument with flags above its four bits.
    for kind in (0..16).filter(|&kind| {
        kind != libc::SOCK_STREAM && !(kind == libc::SOCK_DGRAM && is_datagram_allowed)
    }) {
        let is_kind = argument(1, SeccompCmpOp::MaskedEq(0xf), number(kind))?;
        denied.when(libc::SYS_socket, &[is_kind])?;
    }
    let mut other_protocol = vec![
        argument(2, SeccompCmpOp::Ne, 0)?,
        argument(2, SeccompCmpOp::Ne, number(libc::IPPROTO_TCP))?,
    ];
    if is_datagram_allowed {
        other_protocol.push(argument(2, SeccompCmpOp::Ne, number(libc::IPPROTO_UDP))?);
        return denied.when(libc::SYS_socket, &other_protocol);
    }
    // Landlock looks at connect(2) only, and so not at data that is sent with the first packet.
    denied.when(libc::SYS_socket, &other_protocol)?;
    for (call, flags) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        denied.when(call, &[has(flags, libc::MSG_FASTOPEN)?])?;
    }
    Ok(())
}

/// Denies the calls of the x32 interface, which a filter by number takes for unknown ones.
fn no_x32() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    // Of linux/bpf_common.h: BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JGE | BPF_K, and BPF_RET | BPF_K.
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const ANSWER: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // The number of the call is the first word of what a filter sees.
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_IF_AT_LEAST, 0, 1, X32_BIT),
        step(
            ANSWER,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// Conditions under which calls are denied.
#[derive(Default)]
struct Rules(BTreeMap<c_long, Vec<SeccompRule>>);

impl Rules {
    fn always(&mut self, call: c_long) {
        self.0.insert(call, Vec::new());
    }

    fn when(&mut self, call: c_long, all: &[SeccompCondition]) -> Result<(), BackendError> {
        let rule = SeccompRule::new(all.to_vec())?;
        self.0.entry(call).or_default().push(rule);
        Ok(())
    }

    fn compile(self, errno: i32, arch: TargetArch) -> Result<BpfProgram, BackendError> {
        let deny = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(self.0, SeccompAction::Allow, deny, arch)?.try_into()
    }
}

fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

/// The argument has that flag, or one of these flags.
fn has(index: u8, flag: i32) -> Result<SeccompCondition, BackendError> {
    let flag = number(flag);
    argument(index, SeccompCmpOp::MaskedEq(flag), flag)
}

/// A 32-bit number as the kernel sees it in an argument.
fn number(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}
