"""Signed tokens at the time passed in, never the machine's; and what forgers try."""

import base64
import json
from typing import Any

import pytest

from workbench.adapters.jwt_tokens import SECOND, JwtVerifier
from workbench.control.auth.manager import UserManager
from workbench.control.auth.principal import Denied, Principal

jwt = pytest.importorskip("jwt", reason="the package pyjwt is not installed (pip install pyjwt)")
KEY = "k" * 64
CLAIMS = {
    "sub": "ann", "aud": "gateway", "iss": "idp", "exp": 1000, "tenant": "acme", "scope": "chat models:*", "jti": "j",
}


def verifier(**more: Any) -> JwtVerifier:
    return JwtVerifier(KEY, "gateway", "idp", **{"algorithms": ["HS256"], **more})


def signed(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    kept = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return str(jwt.encode(kept, key, algorithm=algorithm))


def test_exp_and_nbf_are_compared_with_the_time_passed_in_to_the_nanosecond() -> None:
    token = signed(nbf=10)
    checks = verifier()
    assert checks.verify(10 * SECOND - 1, token) == Denied("early", "j")
    assert checks.verify(10 * SECOND, token) == Principal("ann", "acme", ("chat", "models:*"), "j")
    assert isinstance(checks.verify(1000 * SECOND - 1, token), Principal)
    assert checks.verify(1000 * SECOND, token) == Denied("expired", "j")
    assert isinstance(verifier(skew_ns=SECOND).verify(1001 * SECOND - 1, token), Principal)
    assert isinstance(verifier(unix_ns=999 * SECOND).verify(SECOND - 1, token), Principal)
    assert verifier(unix_ns=999 * SECOND).verify(SECOND, token) == Denied("expired", "j")
    # in the far future of this machine, and in its past
    assert isinstance(verifier(unix_ns=10**20).verify(0, signed(exp=10**11 + 1)), Principal)


@pytest.mark.parametrize("claims", [
    {"aud": "other"}, {"iss": "other"}, {"sub": None}, {"aud": None}, {"iss": None}, {"exp": None}, {"sub": ""},
    {"exp": float("inf")}, {"exp": float("nan")}, {"exp": True}, {"exp": "1000"}, {"nbf": "0"}, {"scope": ["chat"]},
    {"tenant": 7},
])
def test_claims_that_are_missing_or_wrong_are_refused(claims: dict[str, Any]) -> None:
    assert isinstance(found := verifier().verify(0, signed(**claims)), Denied)
    assert found.reason == "unknown"


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused() -> None:
    checks = verifier()
    head, body, signature = signed().split(".")
    assert checks.verify(0, signed(key="x" * 64)) == Denied("unknown")
    for algorithm in ("none", "None", "HS512", "RS256"):
        assert checks.verify(0, f"{part({'alg': algorithm, 'typ': 'JWT'})}.{body}.") == Denied("unknown"), algorithm
    assert checks.verify(0, signed(algorithm="HS512")) == Denied("unknown")
    assert checks.verify(0, f"{head}.{part({**CLAIMS, 'sub': 'root'})}.{signature}") == Denied("unknown")
    assert checks.verify(0, "a.b.c") == Denied("unknown")
    for text in ("", "a.b", "ü.b.c", f"{head}.{'a' * 20_000}.{signature}"):
        assert checks.verify(0, text) == Denied("malformed")


@pytest.mark.parametrize("algorithms", [["none"], [], ["HS256", "RS256"], ["hs256"]])
def test_algorithms_are_of_one_known_kind(algorithms: list[str]) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        verifier(algorithms=algorithms)
    with pytest.raises(ValueError, match="skew_ns: -1"):
        verifier(skew_ns=-1)


def test_a_token_is_a_credential_like_a_key() -> None:
    users = UserManager([verifier()])
    assert isinstance(users.authorise(0, signed(), "models:x"), Principal)
    assert users.authorise(0, signed(), "admin") == Denied("scope", "j")
