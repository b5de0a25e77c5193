"""What runs inside: `python -I -S -c THIS`, standard library only, as it may be another uid's interpreter.

Standard input is a file with the order (JSON). It confines itself, says so, runs the program and then the tests, and
tells the end through a pipe, with the order's nonce where the tests came to their end.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2  # linux/prctl.h, seccomp.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, PATH_BENEATH = 444, 445, 446, 1  # syscall_64.tbl, linux/landlock.h
# linux/landlock.h: EXECUTE is bit 0, WRITE_FILE 1, READ_FILE 2, READ_DIR 3, REMOVE_FILE 5, MAKE_REG 8, TRUNCATE 14
LEAST_ABI = 3
READ_FILE, READ_FOLDER, WRITE_FILE, WRITE_FOLDER = 1 << 2, 1 << 2 | 1 << 3, 1 << 1 | 1 << 14, 1 << 5 | 1 << 8
DENIALS = {  # what a sandbox answers, not what a slip of a program meets
    errno.EPERM, errno.EACCES, errno.EROFS, errno.ENETUNREACH, errno.EFBIG, errno.ENOSPC, errno.EMFILE, errno.EAGAIN,
}
LONGEST_REASON = 300
libc = ctypes.CDLL(None, use_errno=True)


class Code(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("codes", ctypes.POINTER(Code))]


class Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("fd", ctypes.c_int)]


def checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def landlock(read: Iterable[str], write: str) -> None:
    """Only `read` may be read; in `write` plain files may be made, written and removed (no folders, no links)."""
    abi = checked(libc.syscall(CREATE_RULESET, None, 0, 1), "Landlock")
    if abi < LEAST_ABI:
        raise OSError(errno.ENOSYS, f"Landlock {abi} lets files be emptied; {LEAST_ABI} came with Linux 6.2")
    handled = (1 << (16 if abi >= 5 else 15)) - 1  # all of files; 5 adds ioctl on devices
    # 4 adds TCP; 6 keeps signals and abstract sockets within
    rules = (ctypes.c_uint64 * 3)(handled, 0b11, 0b11)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = checked(libc.syscall(CREATE_RULESET, rules, size, 0), "Landlock")
    folder_rights = READ_FOLDER | WRITE_FILE | WRITE_FOLDER
    paths = [(path, READ_FOLDER) for path in read] + [(write, folder_rights), ("/dev/null", READ_FILE | WRITE_FILE)]
    for path, allowed in [*paths, ("/dev/zero", READ_FILE), ("/dev/urandom", READ_FILE)]:
        beneath = Beneath(allowed, os.open(path, os.O_PATH | os.O_CLOEXEC))
        checked(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(beneath), 0), f"Landlock: {path}")
        os.close(beneath.fd)
    checked(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def seccomp(rows: Sequence[Sequence[Any]]) -> None:
    pid = os.getpid()
    codes = (Code * len(rows))(*[Code(code, yes, no, pid if k == "pid" else k) for code, yes, no, k in rows])
    program = Program(len(rows), codes)
    checked(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "seccomp")


def confine(order: dict[str, Any]) -> None:
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if order["parent"]:
        checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "death signal")
        if os.getppid() != order["parent"]:  # it went before that
            os._exit(1)
    for name, least, most in order["rlimits"]:
        resource.setrlimit(getattr(resource, name), (least, most))
    if order["landlock"]:
        landlock(order["landlock"], ".")
    if order["filter"]:
        seccomp(order["filter"])


def run(program: str, tests: str) -> tuple[str, str]:
    """How it ended, and why. `__name__` is not "__main__": a demonstration at the end of an answer does not run."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module  # dataclasses look there
    try:
        for text, name in ((program, "<program>"), (tests, "<tests>")):
            exec(compile(text, name, "exec", dont_inherit=True), module.__dict__)
    except SystemExit:
        return "failed", "exited before the tests were over"
    except BaseException as error:  # noqa: BLE001  whatever it raises
        denied = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in DENIALS)
        return "blocked" if denied else "failed", f"{type(error).__name__}: {error}"[:LONGEST_REASON]
    return "passed", ""


def main() -> None:
    with open(0, "rb") as handle:
        order = json.load(handle)
    os.open("/dev/null", os.O_RDONLY)  # takes number 0

    def tell(**what: str) -> None:
        os.write(order["report_fd"], json.dumps(what).encode() + b"\n")

    confine(order)
    tell(started=sys.version.split()[0])
    end, reason = run(order["program"], order["tests"])
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    tell(end=end, reason=reason, **({"nonce": order["nonce"]} if end == "passed" else {}))
    os._exit(0)  # nothing that was registered for the exit runs


if __name__ == "__main__":
    main()
