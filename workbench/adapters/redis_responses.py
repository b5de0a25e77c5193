"""The response cache shared by many gateways: `ResponseCache` with its state in Redis, one EVALSHA for each call.

Needs a client of the `redis` package (pip install redis) that returns bytes, and one server or primary. How much is
kept, and who goes when it is full, is the server's own setting: maxmemory and maxmemory-policy (allkeys-lru or
allkeys-lfu). Values are kept as given: encrypt before if the server is not yours.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from workbench.adapters.redis_limits import GRACE_MS, Client
from workbench.control.cache import CacheKey, Hit, Lead, Wait

SCRIPT = (Path(__file__).parent / "responses.lua").read_text(encoding="utf-8")


class RedisResponseCache:
    """Twin of `ResponseCache` where nothing is evicted: equal on whole microseconds, never older between them.

    A gateway that is told `Wait` looks again later (who waits is not kept here). `request_id` must be unique over
    all gateways. A withdrawn revision is refused for as long as an answer of it can be on its way.
    """

    def __init__(self, client: Client, ttl_ns: int, lead_ns: int = 600 * 10**9, *, largest_bytes: int = 2**20,
                 prefix: str = "responses", grace_ms: int = GRACE_MS) -> None:
        if min(ttl_ns // 1000, lead_ns // 1000, largest_bytes, grace_ms) < 1:
            raise ValueError(f"ttl_ns {ttl_ns}, lead_ns {lead_ns}, largest_bytes {largest_bytes}, grace_ms {grace_ms}: "
                             "must be at least a microsecond, a byte and a millisecond")
        self._ttl_us, self._lead_us, self._largest_bytes = ttl_ns // 1000, lead_ns // 1000, largest_bytes
        self._prefix, self._grace_ms = prefix, grace_ms
        self._script = client.register_script(SCRIPT)

    def look(self, now_ns: int, key: CacheKey, request_id: str) -> Hit | Lead | Wait:
        """Now is rounded up: what is found is not too old."""
        kind, value = self._call("look", -(-now_ns // 1000), key.model, key.revision, key.digest, request_id)
        return Hit(value) if kind == b"hit" else Lead() if kind == b"lead" else Wait()

    def fill(self, now_ns: int, key: CacheKey, value: bytes) -> bool:
        """Keep it; False if it is too large or its revision withdrawn."""
        return bool(self._call("fill", now_ns // 1000, key.model, key.revision, key.digest, "", value))

    def fail(self, now_ns: int, key: CacheKey, request_id: str) -> None:
        """No value came for this leader: the next who looks leads."""
        self._call("fail", now_ns // 1000, key.model, key.revision, key.digest, request_id)

    def withdraw(self, now_ns: int, model: str, revision: str) -> int:
        """Drop every answer of that revision and keep none that is on its way; returns how many were dropped."""
        return int(self._call("withdraw", now_ns // 1000, model, revision, "", ""))

    def _call(self, op: str, now_us: int, model: str, revision: str, digest: str, token: str,
              value: bytes = b"") -> Any:
        whose = hashlib.sha256(json.dumps([model, revision]).encode("ascii")).hexdigest()
        keys = [f"{self._prefix}:value:{digest}", f"{self._prefix}:flight:{digest}", f"{self._prefix}:of:{whose}",
                f"{self._prefix}:withdrawn:{whose}"]
        return self._script(keys=keys, args=[op, now_us, self._ttl_us, self._lead_us, self._grace_ms, token, value,
                                             self._largest_bytes])
