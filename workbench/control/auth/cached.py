"""Verdicts remembered for a while, where the keys are far away: revocation arrives late, by a stated delay at most."""

import hashlib
from collections import OrderedDict
from typing import Protocol

from workbench.control.auth.principal import Denied, Principal, Verifier
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole


class Expiring(Verifier, Protocol):
    """Keys that know when they end."""

    def valid_until_ns(self, key_id: str) -> int | None: ...


class CachedKeys(Clock):
    """A revoked key is let in for less than `delay_ns` after its revocation, an expired one never.

    Only who was let in is remembered (a new key works at once), by the credential's SHA-256, at most `capacity` of
    them, the oldest verdict goes first.
    """

    def __init__(self, keys: Expiring, delay_ns: int, capacity: int = 10_000) -> None:
        self.keys, self.delay_ns, self.capacity = keys, whole("delay_ns", delay_ns), whole("capacity", capacity)
        self._known: OrderedDict[bytes, tuple[int, Principal]] = OrderedDict()

    def verify(self, now_ns: int, credential: str) -> Principal | Denied:
        self._tick(now_ns)
        digest = hashlib.sha256(credential.encode(errors="surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and now_ns < known[0]:
            return known[1]
        verdict = self.keys.verify(now_ns, credential)
        self._known.pop(digest, None)
        if isinstance(verdict, Principal):
            end_ns = self.keys.valid_until_ns(verdict.credential_id)
            until_ns = now_ns + self.delay_ns if end_ns is None else min(end_ns, now_ns + self.delay_ns)
            self._known[digest] = (until_ns, verdict)
            if len(self._known) > self.capacity:
                self._known.popitem(last=False)
        return verdict

    def forget(self, key_id: str) -> None:
        """The revocation was heard of: no delay here."""
        for digest in [d for d, (_, principal) in self._known.items() if principal.credential_id == key_id]:
            del self._known[digest]
