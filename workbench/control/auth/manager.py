"""Users, and the one question of a gateway: may this credential do that now?"""

from collections.abc import Sequence

from workbench.control.auth.audit import AuditLog
from workbench.control.auth.principal import Denied, Principal, Verifier
from workbench.control.auth.quotas import Quotas
from workbench.control.clock import Clock

MALFORMED = Denied("malformed")


class UserManager(Clock):
    """Asks the verifiers in turn: the first that does not say `malformed` decides. Refusals and changes are audited;
    `audit_allowed` records admissions too. Disabling a user works at once, whatever a verifier has cached."""

    def __init__(
        self, verifiers: Sequence[Verifier], audit: AuditLog | None = None, quotas: Quotas | None = None,
        audit_allowed: bool = False,
    ) -> None:
        if not verifiers:
            raise ValueError("verifiers: none given, so nobody could come in; give at least one")
        self.verifiers = tuple(verifiers)
        self.audit = AuditLog() if audit is None else audit
        self.quotas, self.audit_allowed = quotas, audit_allowed
        self._disabled: dict[str, int] = {}

    def authorise(self, now_ns: int, credential: str, scope: str, subject: str = "") -> Principal | Denied:
        """`subject` is what they want to touch (a model, say): for the audit."""
        self._tick(now_ns)
        verdict: Principal | Denied = MALFORMED
        for verifier in self.verifiers:
            verdict = verifier.verify(now_ns, credential)
            if isinstance(verdict, Principal) or verdict != MALFORMED:
                break
        if isinstance(verdict, Principal):
            actor = verdict.user
            if actor in self._disabled:
                verdict = Denied("disabled", verdict.credential_id)
            elif not verdict.may(scope):
                verdict = Denied("scope", verdict.credential_id)
            elif self.quotas is not None and self.quotas.left(now_ns, actor) == 0:
                verdict = Denied("quota", verdict.credential_id)
        else:
            actor = f"key {verdict.credential_id}" if verdict.credential_id else "unknown"
        if isinstance(verdict, Denied):
            self.audit.append(now_ns, actor, scope, subject, f"denied: {verdict.reason}")
        elif self.audit_allowed:
            self.audit.append(now_ns, actor, scope, subject, "allowed")
        return verdict

    def disable(self, now_ns: int, user: str, by: str) -> None:
        self._tick(now_ns)
        self._disabled.setdefault(user, now_ns)
        self.audit.append(now_ns, by, "user:disable", user, "done")

    def enable(self, now_ns: int, user: str, by: str) -> None:
        self._tick(now_ns)
        self._disabled.pop(user, None)
        self.audit.append(now_ns, by, "user:enable", user, "done")
