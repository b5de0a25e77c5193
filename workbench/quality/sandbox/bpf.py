"""The allowed system calls as a program for the kernel's filter machine (classic BPF, seccomp(2))."""

from collections.abc import Iterable, Iterator

from workbench.quality.sandbox import syscalls
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.syscalls import Rule

Instruction = tuple[int, int, int, int | str]  # code, jump if true, jump if false, constant
# linux/bpf_common.h: LD|W|ABS, ALU|AND|K, JMP|JEQ|K, JMP|JGE|K, RET|K
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
ALLOW, DENY, ABSENT, KILL = 0x7FFF_0000, 0x0005_0001, 0x0005_0026, 0x8000_0000  # linux/seccomp.h; EPERM 1, ENOSYS 38
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
X86_64 = 0xC000_003E  # AUDIT_ARCH_X86_64, linux/audit.h
X32 = 0x4000_0000  # __X32_SYSCALL_BIT: the same calls under other numbers


def compiled(limits: Limits, *, threads: bool = True) -> list[Instruction]:
    """Without `threads` the program has the one that it began with."""
    if limits.processes > 1:
        return [*_program(syscalls.ALLOWED | syscalls.WITH_PROCESSES, (*syscalls.ALWAYS, syscalls.PROCESSES))]
    more = (syscalls.THREADS,) if threads and limits.threads else ()
    return [*_program(syscalls.ALLOWED, (*syscalls.ALWAYS, *syscalls.TO_ITSELF, *more))]


def _program(allowed: dict[str, int], rules: Iterable[Rule]) -> Iterator[Instruction]:
    """Every test is followed by what to do, so that no jump is long."""
    yield LOAD, 0, 0, ARCH_AT
    yield EQUAL, 1, 0, X86_64
    yield RETURN, 0, 0, KILL
    yield LOAD, 0, 0, NUMBER_AT
    for least, answer in ((X32, KILL), (syscalls.NEWEST + 1, ABSENT)):
        yield AT_LEAST, 0, 1, least
        yield RETURN, 0, 0, answer
    for number in allowed.values():
        yield EQUAL, 0, 1, number
        yield RETURN, 0, 0, ALLOW
    yield EQUAL, 0, 1, syscalls.CLONE3
    yield RETURN, 0, 0, ABSENT
    for rule in rules:
        yield EQUAL, 0, 2 * len(rule.values) + 3, rule.number
        yield LOAD, 0, 0, ARGUMENTS_AT + 8 * rule.argument  # the lower half: all of these arguments are 32 bits wide
        yield AND, 0, 0, rule.mask
        for value in rule.values:
            yield EQUAL, 0, 1, value
            yield RETURN, 0, 0, ALLOW
        yield RETURN, 0, 0, DENY
    yield RETURN, 0, 0, DENY
