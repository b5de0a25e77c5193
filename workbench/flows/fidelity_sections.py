"""Sections of the fidelity page: what was compared, as plain tables of raw values that a page can be rendered from."""

from collections.abc import Mapping, Sequence
from typing import Any

METRIC_NAMES = ("ttft_s", "tpot_s", "e2e_s")
Section = dict[str, Any]
Result = Mapping[str, Any]


def table(caption: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """`columns` are (title, format): text, count, s, frac, signed, number."""
    return {"caption": caption, "columns": [list(column) for column in columns], "rows": [list(row) for row in rows]}


def vllm_section(found: Result) -> Section:
    """A real vLLM run against the same requests on kernel tables."""
    rows = [
        [name, stat, block["measured"], block["simulated"], block["rel_error_frac"], _count(found["metrics"][name])]
        for name in METRIC_NAMES if name in found["metrics"]
        for stat, block in found["metrics"][name].items()
        if isinstance(block, Mapping) and "rel_error_frac" in block
    ]
    shown = [("metric", "text"), ("", "text"), ("measured", "s"), ("simulated", "s"), ("error", "signed"),
             ("requests", "count")]
    variants = [
        [row["variant"], *(row[f"{name}_mean_rel_error_frac"] for name in METRIC_NAMES)]
        for row in (*found.get("sensitivity", ()), *found.get("ablation", ()))
    ]
    subject, blocks = found["subject"], found["kv_blocks"]
    return {
        "title": "A real vLLM run",
        "origin": "measured (LLMServingSim's public run, on a GPU that is not here) against simulated (profile source: "
                  "imported, from kernel tables of the same authors)",
        "tables": [
            table("Measured against simulated", shown, rows),
            table("Absolute error of each request, mean", [("metric", "text"), ("MAPE", "frac")],
                  [[name, found["metrics"][name]["mape_frac"]] for name in METRIC_NAMES]),
            table("What each term is worth: error of the mean",
                  [("variant", "text"), *((name, "signed") for name in METRIC_NAMES)], variants),
        ],
        "notes": [
            f"{subject['model']} on {subject['gpus']} x {subject['gpu']}: {found['requests']} requests, "
            f"{found['left_out']} left out; {found['iterations']:,} iterations, {found['preemptions']} preemptions, "
            f"{found['cpu_s']:.1f} CPU-seconds.",
            f"KV blocks {blocks['value']:,} ({blocks['origin']}: {blocks['basis']}); host overhead "
            f"{found['host_overhead_us']:g} us for each step that is launched kernel by kernel, the one number "
            "estimated on this run.",
            *found["thin"],
        ],
    }


def silicon_section(found: Result) -> Section:
    """Thousands of published runs against closed loops."""
    left = ", ".join(f"{n:,} {name}" for name, n in found["left_out"].items())
    noise, errors = found["noise"], [("n", "count"), ("TPOT MAPE", "frac"), ("median", "frac"), ("bias", "signed"),
                                     ("TTFT MAPE", "frac"), ("median", "frac"), ("bias", "signed")]
    worst = sorted((row for row in found["by_model"] if row["n"] >= 5), key=lambda row: -row["tpot_s"]["mape_frac"])
    return {
        "title": "Published serving runs (silicon sample)",
        "origin": f"measured ({found['sample']}, not here) against simulated (profile source: silicon)",
        "tables": [
            table("By engine and GPU", [("engine", "text"), ("GPU", "text"), *errors],
                  [[row["engine"], row["gpu"], *_errors(row)] for row in found["groups"]]
                  + [["all", "", *_errors(found["overall"])]]),
            table("Prefill and decode on separate engines (a sample of such rows)",
                  [("engine", "text"), ("GPU", "text"), *errors],
                  [[row["engine"], row["gpu"], *_errors(row)] for row in found["two_pools_groups"]]),
            table("By requests in flight", [("from", "count"), ("to", "count"), *errors],
                  [[row["from"], row["to"], *_errors(row)] for row in found["by_concurrency"]]),
            table("Noise floor: repeated configurations, distance from their own mean",
                  [("metric", "text"), ("configurations", "count"), ("n", "count"), ("MAPE", "frac"),
                   ("worst ratio", "number")],
                  [[name, *noise[name].values()] for name in ("tpot_s", "ttft_s")]),
            table("Where it fails: worst groups of five or more",
                  [("engine", "text"), ("GPU", "text"), ("model", "text"), ("quantisation", "text"), *errors],
                  [[row["engine"], row["gpu"], row["model"], row["dense"] or "bf16", *_errors(row)]
                   for row in worst[:10]]),
            table("Where it cannot speak", [("reason", "text"), ("rows", "count")],
                  [[item["reason"], item["n"]] for item in found["not_modelled"]]),
        ],
        "notes": [
            f"{found['rows']:,} rows; left out: {left}; {found['usable']:,} usable, {found['chosen']:,} tried "
            f"(the other {found['usable'] - found['chosen']:,} have separate pools, of which `--pools` takes a "
            "sample, or lie beyond `--limit`), "
            f"{found['simulated']:,} simulated, {found['other_quantisation']:,} of them on the quantisation of the "
            f"model's published checkpoint because the row's own is not in the database; "
            f"{found['cpu_s']:.0f} CPU-seconds.",
            *(f"Assumed: {text}." for text in found["assumed"]),
        ],
    }


def engine_section(items: Sequence[Result]) -> Section:
    """Our own engine on this machine: the demo's held-out runs."""
    rows = [
        [item["subject"]["model"], item["subject"]["quant"], name, item["metrics"][name]["mean"]["measured"],
         item["metrics"][name]["mean"]["simulated"], item["metrics"][name]["mean"]["rel_error_frac"],
         item["metrics"][name]["mean"]["half_range_frac"], item["repeats"], item["metrics"][name]["n"]["measured"]]
        for item in items for name in METRIC_NAMES
    ]
    shown = [("model", "text"), ("quantisation", "text"), ("mean", "text"), ("measured", "s"), ("simulated", "s"),
             ("error", "signed"), ("repeats differ by", "frac"), ("runs", "count"), ("requests", "count")]
    return {
        "title": "Our own engine on the machine named below",
        "origin": "measured here (llama.cpp's server) against simulated (profile source: measured, from other runs)",
        "tables": [table("Held-out runs", shown, rows)],
        "notes": [f"{item['subject']['quant']}, {item['busy_frac']:.0%} busy: {item['verdict']}." for item in items],
    }


def theory_section(found: Result) -> Section:
    """Queues that theory solves."""
    rows = [[row["title"], row["quantity"], row["formula"], row["simulated"], row["low"], row["high"],
             row["power_frac"], "yes" if row["agrees"] else "no", row["n"]] for row in found["checks"]]
    shown = [("system", "text"), ("quantity", "text"), ("formula", "number"), ("simulated", "number"),
             ("low", "number"), ("high", "number"), ("a 2 % bug is caught", "frac"), ("agrees", "text"),
             ("seeds", "count")]
    return {
        "title": "Theory", "origin": "simulated against formulas",
        "tables": [table("Queues with a formula", shown, rows)],
        "notes": [
            f"{found['seeds']} seeds of {found['requests_per_seed']:,} requests each, a tenth of them warm-up; waits "
            f"in mean services; intervals at {found['level']:.2%}, with control variates. A bug is caught: the "
            "probability that services 2 % too long would contradict the formula.",
            "Exactly, by sample path, in tests: Lindley, Kiefer-Wolfowitz, processor sharing, priority, and the front "
            "door's queues.",
        ],
    }


def _errors(row: Result) -> list[Any]:
    tpot, ttft = row["tpot_s"] or {}, row["ttft_s"] or {}
    keys = ("mape_frac", "median_ape_frac", "bias_frac")
    return [row["n"], *(block.get(key) for block in (tpot, ttft) for key in keys)]


def _count(block: Result) -> int | None:
    n = block.get("n")
    found = n.get("measured") if isinstance(n, Mapping) else n
    return None if found is None else int(found)
