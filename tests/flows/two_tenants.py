"""A small plane scenario: two tenants of two tiers who send more than two replicas of two slots can serve."""

from pathlib import Path

from workbench.profile.model import Linear
from workbench.profile.profile import Profile, write

WHO = """
[[workloads]]
tenant = "%s"
tier = "%s"
requests = 70
arrivals = { kind = "poisson", rate_per_s = %s }
prompt_tok = { kind = "lognormal", p50_tok = 60, p95_tok = 300, max_tok = 600 }
output_tok = { kind = "lognormal", p50_tok = 10, p95_tok = 40, max_tok = 60 }
"""
BASE = 'seeds = [3]\n' + WHO % ("ann", "gold", 24.0) + WHO % ("bob", "lead", 24.0) + """
[fleet]
profile = "p.json"
replicas = 2
price_usd_per_hour = 1.0
[client]
estimated_tok = 15
max_tok = 60
[control]
window = 2
[control.tenants.tiers]
gold = { weight = 3, priority = 0, deadline_ns = 4_000_000_000, ttft_ns = 1_000_000_000 }
lead = { weight = 1, priority = 1, deadline_ns = 6_000_000_000, ttft_ns = 3_000_000_000 }
[control.tenants.tenants]
ann = { tier = "gold" }
bob = { tier = "lead" }
[control.billing]
prices = [ { model = "*", kind = "input", flat = 150_000 }, { model = "*", kind = "output", flat = 600_000 } ]
[slo.gold]
ttft_s = 1.0
[slo.lead]
ttft_s = 3.0
"""


def make(folder: Path) -> Path:
    """Its file, beside its profile."""
    model = Linear(coefficients_fs={"step": 10 * 10**12, "prefill_tok": 10**11, "decode_n": 10**12})
    write(Profile.model_validate({"source": "measured", "model": model.model_dump(),
                                  "rules": {"engine": "vllm", "max_num_seqs": 2}, "kv_blocks": 999}),
          folder / "p.json")
    (folder / "a.toml").write_text(BASE)
    return folder / "a.toml"
