"""API keys: `wb_ID_SECRET`. The id finds the entry, the secret is compared as a keyed hash in constant time.

The secret must be random (128 bits or more, `secrets.token_urlsafe(32)`), so one round of HMAC-SHA-256 is enough: slow
hashes protect passwords, which people choose (OWASP, Password Storage). The same as GitHub's and Stripe's layout: an id
to look up, and to find in a leak.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from workbench.control.auth.principal import Denied, Principal
from workbench.control.clock import Clock

LEAST_SECRET = 22  # characters of base64: 128 bits
SHAPE = re.compile(rf"wb_([0-9a-z]{{1,32}})_([0-9A-Za-z_-]{{{LEAST_SECRET},256}})", re.ASCII)
NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is stored of a key: never the key."""

    digest: bytes
    principal: Principal
    expires_ns: int | None
    revoked_ns: int | None = None


class ApiKeys(Clock):
    """The keys that exist. `pepper` is a secret of the server: a stolen table alone opens nothing."""

    def __init__(self, pepper: bytes) -> None:
        if len(pepper) < 16:
            raise ValueError(f"pepper: {len(pepper)} bytes are too few; give 16 or more random bytes")
        self._pepper = pepper
        self._entries: dict[str, Entry] = {}

    def issue(
        self, now_ns: int, key_id: str, secret: str, user: str, tenant: str, scopes: Iterable[str] = (),
        expires_ns: int | None = None,
    ) -> str:
        """The key, shown once. The caller draws the secret."""
        self._tick(now_ns)
        key = f"wb_{key_id}_{secret}"
        if SHAPE.fullmatch(key) is None:
            raise ValueError(f"key {key_id}: id of 1 to 32 characters 0-9a-z, secret of {LEAST_SECRET} to 256 "
                             "characters 0-9A-Za-z_-")
        if key_id in self._entries:
            raise ValueError(f"key {key_id}: exists already; an id is never used twice, also not after revocation")
        principal = Principal(user, tenant, tuple(sorted(set(scopes))), key_id)
        self._entries[key_id] = Entry(self._digest(key_id, secret), principal, expires_ns)
        return key

    def verify(self, now_ns: int, credential: str) -> Principal | Denied:
        """As of now: no delay. Unknown ids cost the same comparison as known ones."""
        self._tick(now_ns)
        shape = SHAPE.fullmatch(credential)
        if shape is None:
            return Denied("malformed")
        key_id, secret = shape.groups()
        entry = self._entries.get(key_id)
        same = hmac.compare_digest(self._digest(key_id, secret), entry.digest if entry else NOBODY)
        if entry is None or not same:
            return Denied("unknown", key_id)  # never says which of the two was wrong
        if entry.revoked_ns is not None:
            return Denied("revoked", key_id)
        if entry.expires_ns is not None and entry.expires_ns <= now_ns:
            return Denied("expired", key_id)
        return entry.principal

    def revoke(self, now_ns: int, key_id: str) -> None:
        """For good. Twice is as good as once."""
        self._tick(now_ns)
        entry = self._entries.get(key_id)
        if entry is None:
            raise ValueError(f"key {key_id}: unknown, so nothing is revoked; look at the list of keys")
        if entry.revoked_ns is None:
            self._entries[key_id] = replace(entry, revoked_ns=now_ns)

    def valid_until_ns(self, key_id: str) -> int | None:
        return self._entries[key_id].expires_ns

    def _digest(self, key_id: str, secret: str) -> bytes:
        return hmac.digest(self._pepper, f"{key_id}_{secret}".encode(), "sha256")
