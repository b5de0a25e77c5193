"""The filter, run on a little filter machine, allows what the table allows and nothing else."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis.strategies import DrawFn, booleans, composite, integers, one_of, sampled_from, tuples

from workbench.quality.sandbox import bpf, syscalls
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.syscalls import Rule

OWN_PID = 4711
LISTED = [*syscalls.ALLOWED.values(), *syscalls.WITH_PROCESSES.values()]
RULES = (*syscalls.ALWAYS, *syscalls.TO_ITSELF, syscalls.THREADS)
VALUES = sorted({value for rule in (*RULES, syscalls.PROCESSES) for value in rule.values if isinstance(value, int)})
NUMBERS = one_of(sampled_from(sorted({*LISTED, *(rule.number for rule in RULES)})),
                 integers(0, syscalls.NEWEST + 3), integers(0x4000_0000, 0xFFFF_FFFF))
ARGUMENTS = one_of(sampled_from([*VALUES, OWN_PID]), integers(0, 2**64 - 1))


def machine(program: list[bpf.Instruction], arch: int, number: int, arguments: list[int]) -> int:
    """Classic BPF, as seccomp(2) uses it, on struct seccomp_data (little-endian)."""
    data = chain(number.to_bytes(4, "little"), arch.to_bytes(4, "little"), bytes(8),
                 *(value.to_bytes(8, "little") for value in arguments))
    memory, held, at = bytes(data), 0, 0
    while True:
        code, yes, no, constant = program[at]
        k = OWN_PID if constant == syscalls.PID else int(constant)
        at += 1
        if code == 0x06:
            return k
        if code == 0x20:
            held = int.from_bytes(memory[k:k + 4], "little")
        elif code == 0x54:
            held &= k
        else:
            at += yes if (held == k if code == 0x15 else held >= k) else no


def allows(rule: Rule, number: int, arguments: list[int]) -> bool:
    values = [OWN_PID if value == syscalls.PID else value for value in rule.values]
    return rule.number == number and arguments[rule.argument] % 2**32 & rule.mask in values


def expected(limits: Limits, threads: bool, number: int, arguments: list[int]) -> int:
    if number >= 0x4000_0000:
        return bpf.KILL
    if number > syscalls.NEWEST or number == syscalls.CLONE3:
        return bpf.ABSENT
    several = limits.processes > 1
    one = (*syscalls.TO_ITSELF, *([syscalls.THREADS] if threads else []))
    rules = (*syscalls.ALWAYS, *([syscalls.PROCESSES] if several else one))
    listed = number in syscalls.ALLOWED.values() or (several and number in syscalls.WITH_PROCESSES.values())
    return bpf.ALLOW if listed or any(allows(rule, number, arguments) for rule in rules) else bpf.DENY


@composite
def near_a_rule(draw: DrawFn) -> tuple[int, int, int]:
    """A call that a rule is about, with one of its values under what the mask hides; the other argument is anything."""
    rule = draw(sampled_from((*RULES, syscalls.PROCESSES)))
    value = draw(sampled_from([OWN_PID if value == syscalls.PID else int(value) for value in rule.values]))
    asked = value | (draw(integers(0, 2**64 - 1)) & ~rule.mask)
    other = draw(ARGUMENTS)
    return (rule.number, asked, other) if rule.argument == 0 else (rule.number, other, asked)


@given(call=one_of(near_a_rule(), tuples(NUMBERS, ARGUMENTS, ARGUMENTS)), processes=integers(1, 2), threads=booleans())
def test_what_is_listed_is_allowed_and_all_else_denied(
    call: tuple[int, int, int], processes: int, threads: bool
) -> None:
    number, *first = call
    limits, arguments = Limits(processes=processes), [*first, 0, 0, 0, 0]
    found = machine(bpf.compiled(limits, threads=threads), bpf.X86_64, number, arguments)
    assert found == expected(limits, threads, number, arguments)


def test_every_listed_call_is_allowed_and_another_architecture_ends() -> None:
    program = bpf.compiled(Limits())
    assert {machine(program, bpf.X86_64, number, [0] * 6) for number in syscalls.ALLOWED.values()} == {bpf.ALLOW}
    assert machine(program, 0x4000_0003, 0, [0] * 6) == bpf.KILL  # AUDIT_ARCH_I386


@pytest.mark.parametrize("processes", [1, 2])
def test_the_program_is_one_that_the_kernel_takes(processes: int) -> None:
    program = bpf.compiled(Limits(processes=processes))
    assert len(program) <= 4096  # BPF_MAXINSNS
    assert all(0 <= jump < 256 for row in program for jump in row[1:3])
    assert len({**syscalls.ALLOWED, **syscalls.WITH_PROCESSES}) == len(set(LISTED))
