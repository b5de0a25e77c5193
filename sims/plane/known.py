"""What clients of a scenario say that its plane would never know: told when the file is read, not request by request.

Who has no key in `[control.auth]` is refused for that: a scenario may mean it.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from workbench.control.models.registry import UnknownModel
from workbench.control.plane.desk import Desk

Asking = tuple[str, str, Iterable[str], str]  # where its tenants are named and where its model, tenants, model


def check(desk: Desk, facts: Mapping[str, Any], asking: Iterable[Asking]) -> None:
    """ValueError for a tenant that no plan knows, and a model that nobody serves to its tenant."""
    keys = None if desk.auth is None else {key["tenant"] for key in facts["auth"].get("keys", ())}
    for where, client, tenants, model in asking:
        for tenant in dict.fromkeys(tenants):
            if keys is None or tenant in keys:
                _tenant(desk, where, tenant)
                _model(desk, f"{client}.model", tenant, model)


def _tenant(desk: Desk, where: str, tenant: str) -> None:
    book = desk.tenants
    if book is not None and tenant not in book.names and book.default_tier is None:
        raise ValueError(f"{where}.tenant: {tenant!r} is not in [control.tenants]; {_remedy(tenant, book.names)}; or "
                         "give tenants a default_tier")


def _model(desk: Desk, where: str, tenant: str, model: str) -> None:
    names = [model]
    if desk.models is not None:
        try:
            names = [desk.models.resolve(0, model, "").version.name]
        except UnknownModel as error:
            raise ValueError(f"{where}: {error}, as [control.models] says") from None
        if desk.models.version(names[0]).model != model and "@" not in model:
            return  # an alias: who answers it may change while the plane runs
    pool = next(iter(desk.lines)) if desk.tenants is None else desk.tenants.pool(tenant)
    if pool not in desk.lines or not any(desk.fleet.serves(pool, name) for name in names):
        known = sorted({one for i in desk.fleet.pools.get(pool, ()) for one in desk.fleet.specs[i].models})
        raise ValueError(f"{where}: no replica of pool {pool!r} serves {names[0]!r}, which {tenant} asks for; "
                         f"{_remedy(names[0], known)}")


def _remedy(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known := list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(repr, known)) or 'none'}"
