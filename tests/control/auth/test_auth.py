"""Who is let in, how late a revocation arrives, and an audit trail that shows every change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.auth.api_keys import ApiKeys
from workbench.control.auth.audit import AuditLog, first_broken
from workbench.control.auth.cached import CachedKeys
from workbench.control.auth.manager import UserManager
from workbench.control.auth.principal import REASONS, Denied, Principal
from workbench.control.auth.quotas import Quotas

PEPPER, SECRET = b"p" * 32, "s" * 32


def keys(**more: int) -> tuple[ApiKeys, str]:
    book = ApiKeys(PEPPER)
    return book, book.issue(0, "k1", SECRET, "ann", "acme", ["models:*", "chat"], **more)


def test_only_the_whole_key_opens_and_only_its_hash_is_kept() -> None:
    book, key = keys()
    assert book.verify(0, key) == Principal("ann", "acme", ("chat", "models:*"), "k1")
    assert SECRET not in repr(vars(book))
    assert SECRET.encode().hex() not in repr(vars(book))
    for i in range(len(key)):  # any character changed
        wrong = key[:i] + ("x" if key[i] != "x" else "y") + key[i + 1:]
        assert isinstance(book.verify(0, wrong), Denied), wrong
    # an unknown id and a wrong secret look alike
    assert book.verify(0, f"wb_k2_{SECRET}") == Denied("unknown", "k2")
    assert book.verify(0, f"wb_k1_{'t' * 32}") == Denied("unknown", "k1")


@pytest.mark.parametrize("text", ["", "wb_", "wb_k1_", "Bearer x", f"wb_k1_{SECRET}\n", f"wb_K1_{SECRET}", "ü" * 40,
                                  "wb_k1_" + "s" * 300, f"wb_k¹_{SECRET}"])
def test_what_is_no_key_is_malformed(text: str) -> None:
    assert keys()[0].verify(0, text) == Denied("malformed")


def test_a_key_ends_at_its_time_and_for_good_when_revoked() -> None:
    book, key = keys(expires_ns=100)
    assert isinstance(book.verify(99, key), Principal)
    assert book.verify(100, key) == Denied("expired", "k1")
    book.revoke(100, "k1")
    book.revoke(101, "k1")
    assert book.verify(101, key) == Denied("revoked", "k1")
    with pytest.raises(ValueError, match="key k1: exists already"):
        book.issue(102, "k1", SECRET, "eve", "acme")
    with pytest.raises(ValueError, match="key k9: unknown, so nothing is revoked"):
        book.revoke(102, "k9")
    with pytest.raises(ValueError, match="clock went back from 102 to 1 ns"):
        book.verify(1, key)


@pytest.mark.parametrize(("key_id", "secret"), [("K", SECRET), ("", SECRET), ("k", "short"), ("k", "ü" * 30)])
def test_a_weak_key_is_not_issued(key_id: str, secret: str) -> None:
    with pytest.raises(ValueError, match="secret of 22 to 256"):
        ApiKeys(PEPPER).issue(0, key_id, secret, "ann", "acme")
    with pytest.raises(ValueError, match="pepper: 3 bytes are too few"):
        ApiKeys(b"abc")


@given(
    delay_ns=st.integers(1, 20), revoked_ns=st.integers(0, 60), expires_ns=st.integers(1, 60),
    asked_ns=st.lists(st.integers(0, 80), min_size=10, max_size=30),
)
def test_a_cached_revocation_is_late_by_less_than_the_stated_delay(
    delay_ns: int, revoked_ns: int, expires_ns: int, asked_ns: list[int]
) -> None:
    book, key = keys(expires_ns=expires_ns)
    cached = CachedKeys(book, delay_ns)
    for now_ns, is_revocation in sorted([(t, False) for t in asked_ns] + [(revoked_ns, True)]):
        if is_revocation:
            book.revoke(now_ns, "k1")
            continue
        let_in = isinstance(cached.verify(now_ns, key), Principal)
        assert not let_in or now_ns < expires_ns
        assert not let_in or now_ns < revoked_ns + delay_ns
        assert let_in or now_ns >= min(revoked_ns, expires_ns)  # nobody is refused early


def test_the_cache_is_late_no_longer_once_it_hears_and_holds_so_many_only() -> None:
    book = ApiKeys(PEPPER)
    made = [book.issue(0, f"k{i}", SECRET, f"u{i}", "acme") for i in range(3)]
    cached = CachedKeys(book, 1000, capacity=2)
    for key in made:
        cached.verify(1, key)
    for i in range(3):
        book.revoke(2, f"k{i}")
    assert [isinstance(cached.verify(3, key), Principal) for key in made] == [False, True, True]
    cached.forget("k1")
    assert [isinstance(cached.verify(3, key), Principal) for key in made] == [False, False, True]
    later = book.issue(4, "new", SECRET, "u9", "acme")
    assert isinstance(cached.verify(4, later), Principal)  # a refusal is never remembered


@pytest.mark.parametrize(("given_", "asked", "may"), [
    (("chat",), "chat", True), (("chat",), "chat:x", False), (("models:*",), "models:llama", True),
    (("models:*",), "model", False), (("*",), "anything", True), ((), "chat", False),
])
def test_scopes(given_: tuple[str, ...], asked: str, may: bool) -> None:
    assert Principal("u", "t", given_, "k").may(asked) is may


@given(
    amount=st.integers(0, 50), per_ns=st.integers(1, 40),
    asks=st.lists(st.tuples(st.integers(0, 20), st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 30))),
)
def test_used_and_reserved_never_exceed_the_quota(
    amount: int, per_ns: int, asks: list[tuple[int, str, int, int]]
) -> None:
    quotas, now_ns, truth, open_ = Quotas(per_ns, default=amount), 0, {}, []
    for step_ns, user, wanted, used in asks:
        now_ns += step_ns
        period = now_ns // per_ns
        taken = truth.get((user, period), 0)
        handle = quotas.reserve(now_ns, user, wanted)
        assert (handle is not None) == (taken + wanted <= amount)
        if handle is not None:
            truth[user, period] = taken + wanted
            open_.append((user, handle, wanted))
        if open_ and used % 2:
            who, at, reserved = open_.pop(used % len(open_))
            quotas.settle(now_ns, who, at, reserved, min(used, reserved))
            truth[who, at] -= reserved - min(used, reserved)
        assert quotas.left(now_ns, user) == amount - truth.get((user, period), 0)


def test_quotas_of_each_user_and_none() -> None:
    quotas = Quotas(10, amounts={"ann": 5})
    assert quotas.reserve(0, "ann", 6) is None
    assert quotas.reserve(0, "bob", 10**12) == 0
    with pytest.raises(ValueError, match="used 7 is more than the 5 reserved"):
        quotas.settle(0, "ann", 0, 5, 7)
    with pytest.raises(ValueError, match=r"amounts\.ann -1: must be a whole number"):
        Quotas(10, amounts={"ann": -1})


TEXT = st.text(max_size=5)


@given(
    entries=st.lists(st.tuples(st.integers(0, 9), TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=8),
    at=st.integers(0, 7), field=st.integers(0, 7), what=st.sampled_from(["change", "drop", "swap"]),
)
def test_every_change_of_the_audit_shows(
    entries: list[tuple[int, str, str, str, str]], at: int, field: int, what: str
) -> None:
    log, now_ns = AuditLog(), 0
    for step_ns, *words in entries:
        now_ns += step_ns
        log.append(now_ns, *words)
    assert first_broken(log.events, log.head) is None
    events, at = list(log.events), at % len(entries)
    if what == "change":
        old = list(events[at])
        old[field] = old[field] + (1 if isinstance(old[field], int) else "x")
        events[at] = type(events[at])(*old)
    elif what == "drop":
        del events[at]
    else:
        events[at - 1], events[at] = events[at], events[at - 1]
    assert (first_broken(events, log.head) is None) == (events == list(log.events))


def test_fields_of_the_audit_do_not_run_together() -> None:
    first, second = AuditLog(), AuditLog()
    assert first.append(0, "a", "bc", "", "").digest != second.append(0, "ab", "c", "", "").digest


def test_the_manager_refuses_for_each_reason_and_writes_it_down() -> None:
    book, key = keys(expires_ns=1000)
    users = UserManager([book], quotas=Quotas(10_000, amounts={"ann": 2}), audit_allowed=True)
    assert isinstance(users.authorise(1, key, "models:llama", "llama"), Principal)
    assert users.authorise(2, key, "admin") == Denied("scope", "k1")
    assert users.quotas is not None
    assert users.quotas.reserve(2, "ann", 2) == 0
    assert users.authorise(2, key, "chat") == Denied("quota", "k1")
    users.disable(3, "ann", by="root")
    assert users.authorise(3, key, "chat") == Denied("disabled", "k1")
    users.enable(4, "ann", by="root")
    assert users.authorise(1000, key, "chat") == Denied("expired", "k1")
    assert users.authorise(1000, "nonsense", "chat") == Denied("malformed")
    assert [(e.actor, e.action, e.outcome) for e in users.audit.events] == [
        ("ann", "models:llama", "allowed"), ("ann", "admin", "denied: scope"), ("ann", "chat", "denied: quota"),
        ("root", "user:disable", "done"), ("ann", "chat", "denied: disabled"), ("root", "user:enable", "done"),
        ("key k1", "chat", "denied: expired"), ("unknown", "chat", "denied: malformed"),
    ]
    assert SECRET not in repr(users.audit.events)
    assert all(e.outcome.removeprefix("denied: ") in REASONS for e in users.audit.events if "denied" in e.outcome)
    with pytest.raises(ValueError, match="verifiers: none given"):
        UserManager([])
