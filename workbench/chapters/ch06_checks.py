"""What one check of a credential costs on this machine, measured: keys, signed tokens, with and without a cache."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.chapters.about import within
from workbench.control.auth.api_keys import ApiKeys
from workbench.control.auth.audit import AuditLog
from workbench.control.auth.cached import CachedKeys
from workbench.control.auth.manager import UserManager
from workbench.control.auth.principal import Principal, Verifier
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number

PEPPER, SECRET = b"of the chapter, not a secret", "0123456789abcdefghijklmnopqrstuv"  # drawn in earnest
SECOND = 10**9
TOGETHER = 20  # checks that are timed as one: a single one is near the clock's grain
ROUNDS = 100_000  # of PBKDF2, for a password: what a key does not need


@dataclass(frozen=True)
class Check:
    """Microseconds of one check, over so many timings."""

    name: str
    median_us: float
    low_us: float  # the middle half of the timings
    high_us: float
    n: int


def checks(looks: int, quick: bool) -> tuple[Check, ...]:
    """Raises UsageError."""
    within("looks", looks, 10, 100_000)
    looks = min(looks, 50) if quick else looks
    keys, key = keyed(1_000)
    found = [("key", _of(keys, key)), ("key, remembered", _of(CachedKeys(keys, 30 * SECOND), key)),
             ("key, scope, audit", _managed(keys, key))]
    signed = _signed()
    if signed is not None:
        verifier, token = signed
        found.append(("token (HS256)", _of(verifier, token)))
    timed = [_timed(name, check, looks) for name, check in found]
    return (*timed, _timed("password hash", _password, 3 if quick else 10, together=1))


def keyed(users: int) -> tuple[ApiKeys, str]:
    """So many keys, and the first of them."""
    keys = ApiKeys(PEPPER)
    made = [keys.issue(0, f"k{i}", SECRET, f"user{i}", "tenant", ["models:*"]) for i in range(users)]
    return keys, made[0]


def _of(verifier: Verifier, credential: str) -> Callable[[], object]:
    if not isinstance(verifier.verify(0, credential), Principal):
        raise AssertionError("the chapter measures admissions")
    return lambda: verifier.verify(0, credential)


def _managed(keys: ApiKeys, key: str) -> Callable[[], object]:
    users = UserManager([keys], AuditLog(), audit_allowed=True)
    return lambda: users.authorise(0, key, "models:llama", "llama")


def _signed() -> tuple[Verifier, str] | None:
    """None without pyjwt."""
    try:
        import jwt

        from workbench.adapters.jwt_tokens import JwtVerifier
    except ModuleNotFoundError as missing:
        if missing.name != "jwt":
            raise
        return None
    secret = SECRET * 2
    claims = {"sub": "user0", "aud": "here", "iss": "us", "exp": 2_000_000_000, "scope": "models:*", "tenant": "tenant"}
    return JwtVerifier(secret, "here", "us", ["HS256"]), jwt.encode(claims, secret, "HS256")


def _password() -> object:
    import hashlib

    return hashlib.pbkdf2_hmac("sha256", SECRET.encode(), PEPPER, ROUNDS)


def _timed(name: str, check: Callable[[], object], n: int, together: int = TOGETHER) -> Check:
    took_us = []
    for _ in range(n):
        begun_ns = time.perf_counter_ns()
        for _ in range(together):
            check()
        took_us.append((time.perf_counter_ns() - begun_ns) / 1e3 / together)
    low, median, high = np.quantile(took_us, (0.25, 0.5, 0.75))
    return Check(name, float(median), float(low), float(high), n)


def check_chart(found: tuple[Check, ...]) -> Chart:
    names = tuple(item.name for item in found)
    return Chart(
        "checks", "check", (Panel("time of one check (us)", (
            Series("median, middle half", names, tuple(item.median_us for item in found), "measured", "points", 0,
                   tuple(item.low_us for item in found), tuple(item.high_us for item in found)),), log_y=True),),
        "A key of random bits needs one round of a hash; a slow one (PBKDF2) is for what people choose.",
        f"n = {found[0].n} timings of {TOGETHER} checks each on this machine ({found[-1].n} of one password hash), "
        "whiskers are the middle half",
        "The time of one check on a logarithmic axis: API keys, remembered keys, signed tokens, and a password "
        "hash, which is slow on purpose.", names)


def check_table(found: tuple[Check, ...]) -> Table:
    rows = tuple((item.name, number(item.median_us), number(item.low_us), number(item.high_us),
                  number(1e6 / item.median_us), str(item.n)) for item in found)
    return Table(("check", "median (us)", "from", "to", "checks per second and core", "n"), rows,
                 "Measured here; from and to are the middle half. Signed tokens are missing where pyjwt is.")
