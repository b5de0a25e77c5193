"""Signed tokens (JWT, RFC 7519) behind `Verifier`, by pyjwt (pip install pyjwt; with RS and ES also cryptography).

pyjwt reads the machine's clock: all its time checks are off, and exp and nbf are compared with the time passed in.
Algorithms are fixed by us, never by the token (RFC 8725, 3.1); exp, aud, iss and sub are required.
"""

import importlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from workbench.control.auth.principal import Denied, Principal
from workbench.control.clock import Clock

SECOND = 1_000_000_000
SHARED = ("HS256", "HS384", "HS512")
PUBLIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LONGEST = 16_384  # characters; nothing larger is parsed


class JwtVerifier(Clock):
    """`unix_ns` is the Unix time of t=0. `skew_ns` is allowed on both ends (RFC 7519, 4.1.4: a few minutes at most).

    Claims read: sub (user), tenant, scope (words, RFC 8693), jti. A token cannot be revoked before it ends: keep it
    short, or disable the user.
    """

    def __init__(
        self, key: str, audience: str, issuer: str, algorithms: Sequence[str] = ("RS256",), unix_ns: int = 0,
        skew_ns: int = 0,
    ) -> None:
        self._jwt: Any = importlib.import_module("jwt")
        self._key, self.audience, self.issuer = key, audience, issuer
        self.algorithms, self.unix_ns, self.skew_ns = list(algorithms), unix_ns, skew_ns
        for name in self.algorithms:
            if name not in SHARED + PUBLIC:
                raise ValueError(f"algorithms: {name!r} is not allowed; known: {', '.join(SHARED + PUBLIC)}")
        if not self.algorithms or len({name in SHARED for name in self.algorithms}) != 1:
            # a public key taken for a shared secret signs anything
            raise ValueError(f"algorithms: {self.algorithms} must be all shared (HS) or all public; give one kind")
        if not 0 <= skew_ns <= 300 * SECOND:
            raise ValueError(f"skew_ns: {skew_ns} is not between 0 and 300 seconds")

    def verify(self, now_ns: int, credential: str) -> Principal | Denied:
        self._tick(now_ns)
        if credential.count(".") != 2 or len(credential) > LONGEST or not credential.isascii():
            return Denied("malformed")
        off = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat"), False)
        try:
            claims = self._jwt.decode(
                credential, self._key, algorithms=self.algorithms, audience=self.audience, issuer=self.issuer,
                options={**off, "require": ["exp", "aud", "iss", "sub"]},
            )
        except self._jwt.exceptions.PyJWTError:
            return Denied("unknown")
        token_id, user = str(claims.get("jti", "")), claims["sub"]
        ends_ns, begins_ns = _nanoseconds(claims["exp"]), _nanoseconds(claims.get("nbf", 0))
        scope, tenant = claims.get("scope", ""), claims.get("tenant", "default")
        if ends_ns is None or begins_ns is None or not user or not (isinstance(scope, str) and isinstance(tenant, str)):
            return Denied("unknown", token_id)
        unix_ns = self.unix_ns + now_ns
        if unix_ns >= ends_ns + self.skew_ns:
            return Denied("expired", token_id)
        if unix_ns < begins_ns - self.skew_ns:
            return Denied("early", token_id)
        return Principal(user, tenant, tuple(sorted(set(scope.split()))), token_id)


def _nanoseconds(seconds: Any) -> Fraction | None:
    """A NumericDate may be fractional; it may not be true, NaN, infinite or text."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds * 0 != 0:
        return None
    return Fraction(seconds) * SECOND
