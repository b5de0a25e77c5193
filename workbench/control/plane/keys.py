"""Who a digest belongs to: the gateway hashes a credential before the plane sees it, so no journal holds a secret."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.control.auth.principal import Denied, Principal
from workbench.control.clock import Clock

FIELDS = ("digest", "tenant", "user", "scopes", "expires_ns", "revoked_ns")


def digest_of(credential: str) -> str:
    """What `Arrived.key` holds."""
    return hashlib.sha256(credential.encode()).hexdigest()


class DigestKeys(Clock):
    """A verifier of digests: `[{"digest": ..., "tenant": "acme", "user": "ann", "scopes": ["model:*"]}]`."""

    def __init__(self, keys: Sequence[Mapping[str, Any]]) -> None:
        self._known: dict[str, tuple[Principal, int | None, int | None]] = {}
        for i, raw in enumerate(keys):
            for name in raw:
                if name not in FIELDS:
                    raise ValueError(f"keys.{i}.{name}: unknown key; known: {', '.join(FIELDS)}")
            digest, tenant = str(raw.get("digest", "")), str(raw.get("tenant", ""))
            if not digest or not tenant:
                raise ValueError(f"keys.{i}: digest and tenant are needed")
            if digest in self._known:
                raise ValueError(f"keys.{i}.digest: {digest[:12]}... is there already")
            scopes = tuple(sorted(raw.get("scopes", ("model:*",))))
            principal = Principal(str(raw.get("user", tenant)), tenant, scopes, digest[:12])
            self._known[digest] = principal, raw.get("expires_ns"), raw.get("revoked_ns")

    def verify(self, now_ns: int, credential: str) -> Principal | Denied:
        self._tick(now_ns)
        if not credential:
            return Denied("malformed")
        known = self._known.get(credential)
        if known is None:
            return Denied("unknown", credential[:12])
        principal, expires_ns, revoked_ns = known
        if revoked_ns is not None and revoked_ns <= now_ns:
            return Denied("revoked", principal.credential_id)
        if expires_ns is not None and expires_ns <= now_ns:
            return Denied("expired", principal.credential_id)
        return principal
