"""The response cache: what may be kept, under which key, for how long, and who computes what several ask for."""

from workbench.control.cache.eviction import Eviction, Lfu, Lru, TinyLfu
from workbench.control.cache.key import CacheKey, cache_key, why_not
from workbench.control.cache.responses import Hit, Lead, ResponseCache, Wait
from workbench.control.cache.semantic import Semantic, SemanticHit

__all__ = ["CacheKey", "Eviction", "Hit", "Lead", "Lfu", "Lru", "ResponseCache", "Semantic", "SemanticHit", "TinyLfu",
           "Wait", "cache_key", "why_not"]
