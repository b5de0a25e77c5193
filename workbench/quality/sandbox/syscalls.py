"""What a program may ask of the kernel: a list of what is allowed, so that what nobody thought of is denied.

Numbers of x86-64: linux/arch/x86/entry/syscalls/syscall_64.tbl. Denied by not being here, among others: sockets, new
namespaces, mounts, ptrace, keyrings, other processes' memory, io_uring, bpf, SysV and POSIX IPC, chmod, chown, utime,
truncate by name, hard links, xattr, inotify, prctl (it would undo the death signal).
"""

from dataclasses import dataclass

NEWEST = 462  # mseal, Linux 6.10: libc falls back from newer ones when the kernel says that it has none
ALLOWED: dict[str, int] = {
    # files: which ones is up to the mount namespace or Landlock
    "read": 0, "write": 1, "readv": 19, "writev": 20, "pread64": 17, "pwrite64": 18, "preadv": 295, "pwritev": 296,
    "preadv2": 327, "pwritev2": 328, "lseek": 8, "open": 2, "openat": 257, "creat": 85, "close": 3,
    "close_range": 436, "stat": 4, "fstat": 5, "lstat": 6, "newfstatat": 262, "statx": 332, "statfs": 137,
    "fstatfs": 138, "access": 21, "faccessat": 269, "faccessat2": 439, "readlink": 89, "readlinkat": 267,
    "getdents": 78, "getdents64": 217, "getcwd": 79, "chdir": 80, "fchdir": 81, "dup": 32, "dup2": 33, "dup3": 292,
    "pipe": 22, "pipe2": 293, "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "fallocate": 285,
    "fadvise64": 221, "rename": 82, "renameat": 264, "renameat2": 316, "unlink": 87, "unlinkat": 263, "mkdir": 83,
    "mkdirat": 258, "rmdir": 84, "symlink": 88, "symlinkat": 266, "copy_file_range": 326, "sendfile": 40, "umask": 95,
    # memory
    "mmap": 9, "munmap": 11, "mprotect": 10, "mremap": 25, "madvise": 28, "brk": 12, "msync": 26, "mincore": 27,
    # threads and time
    "futex": 202, "set_robust_list": 273, "set_tid_address": 218, "rseq": 334, "sched_yield": 24,
    "sched_getaffinity": 204, "membarrier": 324, "arch_prctl": 158, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "nanosleep": 35, "gettimeofday": 96, "time": 201, "getcpu": 309,
    # its own signals
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "rt_sigpending": 127, "rt_sigtimedwait": 128,
    "rt_sigsuspend": 130, "sigaltstack": 131, "alarm": 37, "setitimer": 38, "getitimer": 36, "pause": 34,
    "restart_syscall": 219,
    # waiting; what a pair of sockets within the program needs (an event loop has one)
    "poll": 7, "ppoll": 271, "select": 23, "pselect6": 270, "epoll_create": 213, "epoll_create1": 291,
    "epoll_ctl": 233, "epoll_wait": 232, "epoll_pwait": 281, "epoll_pwait2": 441, "eventfd": 284, "eventfd2": 290,
    "timerfd_create": 283, "timerfd_settime": 286, "timerfd_gettime": 287, "sendto": 44, "recvfrom": 45,
    "sendmsg": 46, "recvmsg": 47, "shutdown": 48, "getsockopt": 55, "setsockopt": 54, "getsockname": 51,
    "getpeername": 52,
    # what it is and what it took
    "getpid": 39, "getppid": 110, "gettid": 186, "getuid": 102, "geteuid": 107, "getgid": 104, "getegid": 108,
    "getresuid": 118, "getresgid": 120, "getgroups": 115, "getpgrp": 111, "getpgid": 121, "getsid": 124, "uname": 63,
    "sysinfo": 99, "times": 100, "getrusage": 98, "getrlimit": 97, "getrandom": 318, "exit": 60, "exit_group": 231,
}
WITH_PROCESSES: dict[str, int] = {  # in a process namespace of its own only
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "wait4": 61, "waitid": 247, "setsid": 112, "setpgid": 109,
    "kill": 62, "tkill": 200, "tgkill": 234,
}
CLONE3 = 435  # its flags lie in memory, where no filter sees them: libc falls back to clone

PID = "pid"  # stands for the program's own process id, put in where it runs
ALL_BITS = 0xFFFF_FFFF
CLONE_THREAD = 0x0001_0000  # linux/sched.h, as those in the next line: NEWTIME, NEWNS, NEWCGROUP to NEWNET
CLONE_NEW = 0x0000_0080 | 0x0002_0000 | 0x7E00_0000


@dataclass(frozen=True, slots=True)
class Rule:
    """System call `number` is allowed where the lower half of `argument`, masked, is one of `values`."""

    number: int
    argument: int
    values: tuple[int | str, ...]
    mask: int = ALL_BITS


TO_ITSELF = (Rule(62, 0, (PID,)), Rule(234, 0, (PID,)))  # kill, tgkill (abort() uses it)
THREADS = Rule(56, 0, (CLONE_THREAD,), CLONE_THREAD | CLONE_NEW)  # clone
PROCESSES = Rule(56, 0, (0,), CLONE_NEW)
ALWAYS = (
    # fcntl: F_DUPFD to F_SETLKW and F_DUPFD_CLOEXEC. Not F_SETOWN and F_SETSIG: they send signals to others
    Rule(72, 1, (0, 1, 2, 3, 4, 5, 6, 7, 1030)),
    # ioctl: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX (asm-generic/ioctls.h)
    Rule(16, 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),
    # socketpair: SOCK_STREAM, with CLOEXEC, NONBLOCK or both. Not datagrams: they can be sent to a name
    Rule(53, 1, (0x1, 0x8_0001, 0x801, 0x8_0801)),
    Rule(302, 0, (0,)),  # prlimit64 of itself
)
