"""Every exported metric, once: name, kind, unit, labels, buckets, what it counts. vLLM's name where vLLM has it.

Numbers are whole: nanoseconds, tokens, millionths. `scale` of them are one of the exported unit.
"""

from typing import Literal, NamedTuple

NS, PPM, ONE = 1_000_000_000, 1_000_000, 1


class Series(NamedTuple):
    """`labels`: in this order. `buckets`: upper edges, in the whole unit; empty: no histogram. `here`: what it means
    at the plane, where vLLM would count inside one engine."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    here: str
    labels: tuple[str, ...] = ()
    scale: int = ONE
    buckets: tuple[int, ...] = ()

    @property
    def vllm(self) -> bool:
        return self.name.startswith("vllm:")


def _ns(*seconds_milli: int) -> tuple[int, ...]:
    return tuple(milli * 1_000_000 for milli in seconds_milli)


# vllm/v1/metrics/loggers.py (0.32): the same edges, so that histograms of engine and plane can be laid over each other
TTFT_NS = _ns(1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000, 20_000, 40_000, 80_000,
              160_000, 640_000, 2_560_000)
REQUEST_NS = _ns(300, 500, 800, 1_000, 1_500, 2_000, 2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000,
                 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 7_680_000)
TPOT_NS = _ns(10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000, 20_000, 40_000,
              80_000)
TOKENS = tuple(mantissa * 10**power for power in range(6) for mantissa in (1, 2, 5))
MODEL = ("model_name",)

SCHEMA: tuple[Series, ...] = (
    Series("vllm:num_requests_running", "gauge", "attempts at replicas: released, not over", MODEL),
    Series("vllm:num_requests_waiting", "gauge", "requests inside that no replica has: in line, following, before a "
           "retry"),
    Series("vllm:kv_cache_usage_perc", "gauge", "share of KV blocks in use, as that replica last reported (0 to 1)",
           ("replica",), PPM),
    Series("vllm:num_preemptions_total", "counter", "attempts taken back from a replica for another request", MODEL),
    Series("vllm:prompt_tokens_total", "counter", "prompt tokens of attempts that ended, as far as computed", MODEL),
    Series("vllm:prompt_tokens_cached_total", "counter", "of them, found in the replica's cache", MODEL),
    Series("vllm:generation_tokens_total", "counter", "output tokens of attempts that ended", MODEL),
    Series("vllm:prefix_cache_queries_total", "counter", "prompt tokens looked up in a replica's prefix cache", MODEL),
    Series("vllm:prefix_cache_hits_total", "counter", "prompt tokens found there", MODEL),
    Series("vllm:request_success_total", "counter", "released requests that ended: stop, error or abort (their client "
           "left)", ("model_name", "finished_reason")),
    Series("vllm:time_to_first_token_seconds", "histogram", "from arrival at the plane to the first byte", MODEL, NS,
           TTFT_NS),
    Series("vllm:request_queue_time_seconds", "histogram", "from arrival to the first release to a replica", MODEL, NS,
           REQUEST_NS),
    Series("vllm:request_prefill_time_seconds", "histogram", "from the last release to the first byte: the engine's "
           "queue is in it", MODEL, NS, REQUEST_NS),
    Series("vllm:request_decode_time_seconds", "histogram", "from the first byte to the end", MODEL, NS, REQUEST_NS),
    Series("vllm:request_time_per_output_token_seconds", "histogram", "decode time by output tokens after the first",
           MODEL, NS, TPOT_NS),
    Series("vllm:e2e_request_latency_seconds", "histogram", "from arrival to the end, of those that succeeded", MODEL,
           NS, REQUEST_NS),
    Series("vllm:request_prompt_tokens", "histogram", "prompt tokens of a request that succeeded", MODEL, ONE, TOKENS),
    Series("vllm:request_generation_tokens", "histogram", "output tokens of a request that succeeded", MODEL, ONE,
           TOKENS),
    Series("workbench_requests_total", "counter", "requests that ended, each once: ok, error, cancelled, rejected, "
           "shed, expired, answered", ("outcome",)),
    Series("workbench_arrivals_total", "counter", "requests that came"),
    Series("workbench_rejections_total", "counter", "refused ones by HTTP status", ("status",)),
    Series("workbench_answers_total", "counter", "answered without a replica: cache, flight (just computed for "
           "another), device (its own)", ("source",)),
    Series("workbench_attempts_total", "counter", "attempts at replicas that ended, by outcome", ("outcome",)),
    Series("workbench_retries_total", "counter", "releases of a request after its first: retries and second attempts"),
    Series("workbench_charged_usd", "gauge", "charged so far; a volume price may take some back", (), 10**12),
    Series("workbench_replica_up", "gauge", "1: it takes requests, as last heard of", ("replica",)),
    Series("workbench_replica_starts_total", "counter", "replicas begun by the autoscaler or the cluster"),
    Series("workbench_replica_stops_total", "counter", "replicas stopped by them"),
    Series("workbench_alarms_total", "counter", "alarms by severity", ("severity",)),
)
BY_NAME = {one.name: one for one in SCHEMA}
