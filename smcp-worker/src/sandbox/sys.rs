//! The system calls that have no safe wrapper: the only `unsafe` code of this project.
//!
//! Everything here runs in the supervisor, which has one thread, or takes no pointers.

#![expect(unsafe_code, reason = "each block says why it is sound")]

use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::iter;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Splits this process in two, the child in the new namespaces that `flags` names; `None` in the child.
///
/// To be called by a process with one thread only: the child has no other, and a lock that one held would be held
/// for ever.
///
/// # Errors
/// What the kernel says; `EPERM` and `ENOSPC` where namespaces are not to be had.
pub(super) fn fork_into(flags: UnshareFlags) -> io::Result<Option<Pid>> {
    let flags = c_long::from(flags.bits()) | c_long::from(libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child gets a copy of all memory, and with a null stack it goes on where its parent
    // is, as after fork(2); the three pointers are null and their flags not set, so that the kernel writes nowhere.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(c_int::try_from(pid).ok().and_then(Pid::from_raw))
}

/// Makes this process the program of `command`, whose environment is what was given to it; answers only where that
/// fails.
///
/// [`Command::exec`] by itself has execvp(3) do it, which gives a file that is no program to a shell.
pub(super) fn become_program(command: &mut Command) -> io::Error {
    let words = iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| CString::new(word.as_bytes()));
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some([name.as_bytes(), b"=", value?.as_bytes()].concat()))
        .map(CString::new);
    let (words, variables) = match (words.collect(), variables.collect()) {
        (Ok(words), Ok(variables)) => (words, variables),
        (Err(error), _) | (_, Err(error)) => return io::Error::from(error),
    };
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        let pointers = strings.iter().map(|string| string.as_ptr());
        pointers.chain([ptr::null()]).collect()
    };
    let start = move || {
        let (words, variables): (&Vec<CString>, &Vec<CString>) = (&words, &variables);
        let program = words.first().map_or(ptr::null(), |word| word.as_ptr());
        let (argv, envp) = (pointers(words), pointers(variables));
        // SAFETY: both lists end with a null pointer, before which all point at strings that outlive the call.
        unsafe { libc::execve(program, argv.as_ptr(), envp.as_ptr()) };
        Err(io::Error::last_os_error())
    };
    // SAFETY: nothing is forked: the closure runs in this process, where it may do whatever it likes.
    unsafe { command.pre_exec(start) };
    command.exec()
}

/// Lets no descriptor above 2 survive the next start of a program, whoever left it to this process.
///
/// # Errors
/// `ENOSYS` before Linux 5.11.
pub(super) fn close_inherited_on_exec() -> io::Result<()> {
    // SAFETY: the call takes numbers only and closes nothing: it sets a flag on each descriptor.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    succeeded(done).map(drop)
}

/// What is forbidden on a mount.
#[derive(Clone, Copy, Debug)]
pub(super) enum MountUse {
    /// Writing, devices, setuid.
    ReadOnly,
    /// Devices, setuid.
    ReadWrite,
    /// Programs, setuid.
    Device,
}

/// Changes what the mount `tree`, and with `recursive` each below it, can be used for.
///
/// # Errors
/// What the kernel says; `ENOSYS` before Linux 5.12.
pub(super) fn restrict_mount(
    tree: BorrowedFd<'_>,
    mount_use: MountUse,
    recursive: bool,
) -> io::Result<()> {
    let attr_set = libc::MOUNT_ATTR_NOSUID
        | match mount_use {
            MountUse::ReadOnly => libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV,
            MountUse::ReadWrite => libc::MOUNT_ATTR_NODEV,
            MountUse::Device => libc::MOUNT_ATTR_NOEXEC,
        };
    let attributes = libc::mount_attr {
        attr_set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal, and the size is that of the structure, which outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    succeeded(done).map(drop)
}

/// Brings up the loopback interface of this network namespace.
///
/// # Errors
/// What the kernel says.
pub(super) fn raise_loopback() -> io::Result<()> {
    /// `IFF_UP`, in the type of the field.
    const UP: i16 = 1;
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: the structure consists of integers, arrays of them and pointers, for all of which zeros are valid.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = UP;
    // SAFETY: SIOCSIFFLAGS reads a structure of this type, which outlives the call.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    succeeded(done.into()).map(drop)
}

/// Blocks SIGTERM and SIGCHLD, and answers a descriptor that reads as one record for each that has come.
///
/// # Errors
/// When descriptors are short.
pub(super) fn signal_descriptor() -> io::Result<OwnedFd> {
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before anything reads it, and the other calls get a pointer to it while
    // it lives; a null pointer for the old mask is allowed.
    let fd = unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGCHLD);
        let signals = signals.assume_init();
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut()) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::signalfd(-1, &raw const signals, libc::SFD_CLOEXEC)
    };
    let fd = succeeded(fd.into())?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets every signal through, as a program expects it that this process becomes.
///
/// # Errors
/// None that the kernel gives for these arguments.
pub(super) fn unblock_signals() -> io::Result<()> {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before it is read, and a null pointer for the old mask is allowed.
    let done = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    };
    succeeded(done.into()).map(drop)
}

/// The size of a record read from [`signal_descriptor`]; its first four bytes are the number of the signal.
pub(super) const SIGNAL_RECORD_BYTES: usize = size_of::<libc::signalfd_siginfo>();

/// The version of Landlock's interface.
///
/// # Errors
/// `ENOSYS` or `EOPNOTSUPP` where the kernel has none, or it is switched off.
pub(crate) fn landlock_abi() -> io::Result<i32> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no attributes: a null pointer and a size of 0 are what it asks for.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            VERSION,
        )
    };
    succeeded(abi)
}

/// Makes a system call with a number first and nothing else, and answers what came of it: for trying out what a
/// sandbox forbids. `None` where it was carried out.
pub(super) fn attempt(number: c_long, first: c_long) -> Option<io::Error> {
    // SAFETY: every pointer that a call could want is null and every length 0, so that the kernel can neither read nor
    // write memory of this process; of what the calls tried here do beyond that, this process has nothing to lose.
    let done = unsafe { libc::syscall(number, first, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
    succeeded(done).err()
}

fn succeeded(result: c_long) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(c_int::try_from(result).unwrap_or_default())
}
