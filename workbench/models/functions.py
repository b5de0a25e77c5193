"""Families of small Python functions: a docstring with a parameter in it, and the body that it asks for.

A quarter of each family's parameters is never trained on; those make the code task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.models.draw import digest

Parameter = int | str
Arguments = tuple[object, ...]
NUMBERS: tuple[int, ...] = tuple(range(2, 50))
LETTERS: tuple[str, ...] = tuple("abcdefghijklmnopqrstuvwxyz")
NAMES = ("solve", "work", "compute", "apply", "run", "task", "do_it", "f", "g", "answer")
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Family:
    """`body` uses {k}; `solve(k)` is the same function written apart from it; `calls(k)` tells k from the rest."""

    name: str
    argument: str
    docs: tuple[str, ...]
    body: tuple[str, ...]
    solve: Callable[..., Callable[..., object]]
    calls: Callable[..., list[Arguments]]
    parameters: tuple[Parameter, ...] = NUMBERS


def _numbers(_k: int) -> list[Arguments]:
    return [(0,), (5,), (-3,), (17,), (40,)]


def _lists(k: int) -> list[Arguments]:
    return [([1, 5, 9, 14, 30],), ([],), ([k, k, k, k + 1, k - 1, 2],), (list(range(60)),)]


def _filled(k: int) -> list[Arguments]:
    return [([1, 5, 9, 14, 30],), ([k, 3],), ([-4, 8],)]


def _words(_k: int) -> list[Arguments]:
    return [("a",), ("xy",), ("",)]


def _divisors(k: int) -> list[Arguments]:
    divisors = [n for n in range(2, k) if k % n == 0]
    return [(n,) for n in (0, 7, k, 2 * k, 2 * k + 1, *divisors)]


def _totals(k: int) -> list[Arguments]:
    return [(1,), (10,), (k - 1,), (k,), (100,)]


def _texts(c: str) -> list[Arguments]:
    return [("banana split",), ("",), (f"{c}{c}x{c}",), (f"sphinx of black quartz judge my vow {c}",)]


FAMILIES: tuple[Family, ...] = (
    Family("add", "x", ("Return x plus {k}.", "Add {k} to x."), ("return x + {k}",),
           lambda k: lambda x: x + k, _numbers),
    Family("subtract", "x", ("Return x minus {k}.", "Subtract {k} from x."), ("return x - {k}",),
           lambda k: lambda x: x - k, _numbers),
    Family("multiply", "x", ("Return x times {k}.", "Multiply x by {k}."), ("return x * {k}",),
           lambda k: lambda x: x * k, _numbers),
    Family("divides", "n", ("Return True if n is divisible by {k}.", "Check if {k} divides n."),
           ("return n % {k} == 0",), lambda k: lambda n: n % k == 0, _divisors),
    Family("above", "xs", ("Return the items of xs greater than {k}.", "Keep only items above {k}."),
           ("return [v for v in xs if v > {k}]",), lambda k: lambda xs: [v for v in xs if v > k], _lists),
    Family("below", "xs", ("Return the items of xs less than {k}.", "Keep only items below {k}."),
           ("return [v for v in xs if v < {k}]",), lambda k: lambda xs: [v for v in xs if v < k], _lists),
    Family("first", "xs", ("Return the first {k} items of xs.", "Take {k} items from the front."),
           ("return xs[:{k}]",), lambda k: lambda xs: xs[:k], _lists),
    Family("last", "xs", ("Return the last {k} items of xs.", "Take {k} items from the end."),
           ("return xs[-{k}:]",), lambda k: lambda xs: xs[-k:], _lists),
    Family("step", "xs", ("Return every item of xs in steps of {k}.", "Take one item in {k}."),
           ("return xs[::{k}]",), lambda k: lambda xs: xs[::k], _lists),
    Family("repeat", "s", ("Return s repeated {k} times.", "Write s {k} times."), ("return s * {k}",),
           lambda k: lambda s: s * k, _words),
    Family("sum", "xs", ("Return the sum of xs plus {k}.", "Sum the items and add {k}."),
           ("return sum(xs) + {k}",), lambda k: lambda xs: sum(xs) + k, _lists),
    Family("largest", "xs", ("Return the largest item plus {k}.", "Take the maximum and add {k}."),
           ("return max(xs) + {k}",), lambda k: lambda xs: max(xs) + k, _filled),
    Family("smallest", "xs", ("Return the smallest item minus {k}.", "Take the minimum and subtract {k}."),
           ("return min(xs) - {k}",), lambda k: lambda xs: min(xs) - k, _filled),
    Family("multiples", "n", ("Sum the numbers from 1 to n divisible by {k}.", "Sum the multiples of {k} up to n."),
           ("total = 0", "for i in range(1, n + 1):", "    if i % {k} == 0:", "        total += i", "return total"),
           lambda k: lambda n: sum(range(k, n + 1, k)), _totals),
    Family("count", "xs", ("Count the items of xs equal to {k}.", "Return how many items of xs are {k}."),
           ("total = 0", "for v in xs:", "    if v == {k}:", "        total += 1", "return total"),
           lambda k: lambda xs: xs.count(k), _lists),
    Family("letter", "s", ("Return how often '{k}' occurs in s.", "Count the letter '{k}' in s."),
           ("return s.count('{k}')",), lambda k: lambda s: s.count(k), _texts, LETTERS),
    Family("remove", "s", ("Remove every '{k}' from s.", "Return s without the letter '{k}'."),
           ("return s.replace('{k}', '')",), lambda k: lambda s: s.replace(k, ""), _texts, LETTERS),
    Family("starts", "s", ("Return True if s starts with '{k}'.", "Check if the first letter is '{k}'."),
           ("return s.startswith('{k}')",), lambda k: lambda s: s.startswith(k), _texts, LETTERS),
    Family("split", "s", ("Split s at every '{k}'.", "Return the parts of s between '{k}'."),
           ("return s.split('{k}')",), lambda k: lambda s: s.split(k), _texts, LETTERS),
)


def held_out(family: Family, parameter: Parameter) -> bool:
    """Whether this parameter is kept for the code task."""
    return digest("parameter", family.name, parameter) % 4 == 0


@dataclass(frozen=True, slots=True)
class Function:
    """One family at one parameter."""

    family: Family
    parameter: Parameter

    def header(self, doc: int, name: str) -> str:
        """What a model is given: the signature and the docstring."""
        text = self.family.docs[doc].format(k=self.parameter)
        return f'def {name}({self.family.argument}):\n{INDENT}"""{text}"""\n'

    @property
    def body(self) -> str:
        """What it is to answer."""
        return "".join(f"{INDENT}{line.format(k=self.parameter)}\n" for line in self.family.body)


def functions(for_test: bool) -> list[Function]:
    """All functions with trained parameters, or (`for_test`) all with held-out ones."""
    return [
        Function(family, parameter)
        for family in FAMILIES
        for parameter in family.parameters
        if held_out(family, parameter) == for_test
    ]
