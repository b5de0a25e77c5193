"""What a credential is worth."""

from typing import NamedTuple, Protocol

# every reason there is; an answer to the outside says only 401, 403 or 429 (docs/control/auth.md)
REASONS = ("malformed", "unknown", "expired", "early", "revoked", "disabled", "scope", "quota")


class Principal(NamedTuple):
    """Somebody known. `credential_id` is safe to log: it is no secret."""

    user: str
    tenant: str
    scopes: tuple[str, ...]  # sorted
    credential_id: str

    def may(self, scope: str) -> bool:
        """`models:*` covers every scope that begins with `models:`; `*` covers all."""
        return any(
            scope == given or (given.endswith("*") and scope.startswith(given[:-1])) for given in self.scopes
        )


class Denied(NamedTuple):
    """Not let in."""

    reason: str  # one of REASONS
    credential_id: str = ""  # as far as it was read


class Verifier(Protocol):
    """API keys, or signed tokens."""

    def verify(self, now_ns: int, credential: str) -> Principal | Denied:
        """Who this is at `now_ns`."""
        ...
