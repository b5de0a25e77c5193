"""Free, Pro and Enterprise: tiers to begin with. Assumptions, not anybody's offer."""

from collections.abc import Mapping
from typing import Any

SECOND_NS = 1_000_000_000

FACTS: Mapping[str, Any] = {
    "tiers": {
        "free": {
            "weight": 1, "priority": 2, "requests_per_minute": 20, "tokens_per_minute": 20_000, "concurrent": 2,
            "waiting": 20, "deadline_ns": 120 * SECOND_NS, "ttft_ns": 10 * SECOND_NS, "target_ppm": 900_000,
            "flags": {"streaming": True, "degrade": True, "preemptible": True, "response_cache": True},
        },
        "pro": {
            "weight": 4, "priority": 1, "worst_priority": 2, "requests_per_minute": 600, "tokens_per_minute": 600_000,
            "concurrent": 32, "waiting": 200, "deadline_ns": 120 * SECOND_NS, "ttft_ns": 2 * SECOND_NS,
            "target_ppm": 950_000,
            "flags": {"streaming": True, "batch": True, "priority_hints": True, "response_cache": True, "canary": True},
        },
        "enterprise": {
            "weight": 16, "priority": 0, "worst_priority": 2, "ttft_ns": SECOND_NS, "e2e_ns": 60 * SECOND_NS,
            "target_ppm": 990_000, "replicas": "tier",
            "flags": {
                "streaming": True, "batch": True, "priority_hints": True, "response_cache": True, "hedging": True,
            },
        },
    },
    "tenants": {},
    "default_tier": "free",
}
