"""Files of v0.1, as shipped, under the whole plane: the same nanoseconds, alone and with every part of v1.0 around."""

import pytest
from shipped import case_of

from sims.run import simulate
from workbench import paths
from workbench.flows.replicate import Case

COLUMNS = ["request_id", "outcome", "replica", "admit_ns", "start_ns", "first_token_ns", "end_ns", "chunk_ns",
           "cached_tok", "output_tok"]
AROUND = """
report_s = 1.0
heartbeat_s = 1.0
cold_start_s = 30.0
{body}
[client]
model = "any"
questions = 0

[control.auth]
keys = [{{ digest = "5c1d02aa", tenant = "default" }}]

[control.tenants]
default_tier = "all"
tiers = {{ all = {{ weight = 1, ttft_ns = 1_000_000_000 }} }}

[control.limits]
levels = [{{ name = "tokens", by = "tenant", parameters = {{ amount = 1_000_000_000, per_ns = 1_000_000_000 }} }}]

[control.cache]
capacity_bytes = 1_000_000
ttl_ns = 60_000_000_000

[control.models]
versions = [{{ model = "any", version = "1", revision = "5f0b02c7", context_tok = 1_000_000 }}]

[control.queue]
limit = 10_000

[control.breaker]

[control.retries]

[control.allocator]
capacity = 1_000_000_000

[control.billing]
prices = [{{ model = "*", kind = "input", flat = 150_000 }}, {{ model = "*", kind = "output", flat = 600_000 }}]

[control.sla]
window_ns = 60_000_000_000

[control.autoscale]
policy = "target_tracking"
every_ns = 1_000_000_000
least = {replicas}
most = {replicas}
slots = 64

[control.cluster]
nodes = {{ a = {replicas} }}

[control.alarms]
every_ns = 1_000_000_000
burn = {{}}
changes = [{{ signal = "arrivals", detector = "cusum" }}]
"""


@pytest.mark.parametrize("name", ["single_replica", "small_fleet", "shared_prefix"])
def test_a_file_of_v0_1_gives_the_same_nanoseconds_alone_and_with_all_parts_of_v1_0_around_it(name: str) -> None:
    path = paths.data("scenarios") / f"{name}.toml"
    old = Case.load(path)
    fleet, policies = old.scenario.fleet, old.scenario.policies
    before = simulate(old.draw(1)[:150], old.profile, old.rules, replicas=fleet.replicas, window=policies.window,
                      queue=policies.queue.name, router=policies.router.name)
    title, _, body = path.read_text().partition("\n[")
    whole = title + AROUND.format(body="[" + body, replicas=fleet.replicas)
    for text in (path.read_text(), whole):
        after = case_of(text, path.parent).run(1, requests=150, checked=True)
        assert after.log.table.select(COLUMNS).to_pydict() == before.log.table.select(COLUMNS).to_pydict()
        assert after.busy_ns == before.busy_ns
        assert after.iterations == before.iterations
    desk = after.plane.desk
    assert None not in (desk.auth, desk.tenants, desk.limits, desk.models, desk.allocator, desk.operations)
    assert desk.tally.charged_pusd > 0
    assert not after.starts
