"""The fake engine says its rules itself."""

from engines.record import Look, Seen

WHERE = "/props"


def see(look: Look) -> Seen:
    props = look.get(WHERE)
    if not isinstance(props, dict):
        return {}
    facts = {**props["rules"], "clock": props["clock"], "profile_sha256": props["profile_sha256"]}
    facts |= {"rules": facts.pop("engine"), "version": props["version"]}
    return {name: (value, WHERE) for name, value in facts.items()}
