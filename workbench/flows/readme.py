"""The README's numbers: read from the committed example report and the fidelity page's data, never typed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.files import read_json
from workbench.metrics import METRICS

EXAMPLE = Path("reports/gallery/capacity")
BEGIN = "<!-- results: written by `workbench docs build` from reports/gallery/capacity/results.json -->"
END = "<!-- end of results -->"
FIDELITY = Path("docs/fidelity.json")
FIDELITY_BEGIN = "<!-- fidelity: written by `workbench docs build` from docs/fidelity.json -->"
FIDELITY_END = "<!-- end of fidelity -->"
QUANTS = ("q4_0", "q8_0", "f16")
LATENCIES = ("ttft_s", "tpot_s", "e2e_s")


def filled(readme: str, top: Path) -> str:
    """The README's text with its two generated sections written anew."""
    folder = top / EXAMPLE
    if (folder / "results.json").is_file():
        found = {item["name"]: item for item in read_json(folder / "results.json")}
        readme = _between(readme, BEGIN, END, _section(found, read_json(folder / "provenance.json")))
    if (top / FIDELITY).is_file():
        readme = _between(readme, FIDELITY_BEGIN, FIDELITY_END, _fidelity(read_json(top / FIDELITY)["sections"]))
    return readme


def _between(readme: str, begin: str, end: str, text: str) -> str:
    section = f"{begin}\n{text}\n{end}"
    found, count = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: section, readme, flags=re.DOTALL)
    if count != 1:
        raise Failure(f"README.md: the markers {begin!r} and {end!r} are not there exactly once; restore them")
    return found


def _fidelity(sections: Mapping[str, Any]) -> str:
    """The means of the real vLLM run, and the median errors over published serving runs."""
    rows = {(row[0], row[1]): row for row in sections["vllm"]["tables"][0]["rows"]}
    means = [rows[name, "mean"] for name in LATENCIES]
    text = ("| a real vLLM on an RTX PRO 6000 | " + " | ".join(METRICS[name].label for name in LATENCIES) + " |\n"
            "| --- | --- | --- | --- |\n"
            "| mean, measured | " + " | ".join(f"{row[2]:.3g} s" for row in means) + " |\n"
            "| mean, simulated | " + " | ".join(f"{row[3]:.3g} s" for row in means) + " |\n"
            "| error | " + " | ".join(f"{row[4]:+.1%}" for row in means) + " |\n")
    total = sections["silicon"]["tables"][0]["rows"][-1]
    return text + (f"\nOn {total[2]:,} published serving runs (closed loops on other GPUs, profiles of source silicon) "
                   f"the median error is {total[4]:.0%} for time per output token and {total[7]:.0%} for time to first "
                   "token: kernel times know nothing of the host and the network.")


def _section(found: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    machine = provenance["machine"]
    head = (f"What one `make demo` found ({machine['cpu']}, {machine['cores']} cores, {machine['ram_gib']:.0f} GiB; "
            f"run {provenance['run_id']}), on requests that the fit never saw:\n\n"
            "| quantisation | E2E mean, measured | simulated | error | repeats differ by | replicas | one carries |\n"
            "| --- | --- | --- | --- | --- | --- | --- |\n")
    rows = [_row(found, quant) for quant in QUANTS if f"e2e_mean_measured_s_{quant}" in found]
    return head + "\n".join(rows) + "\n\n" + _decision(found)


def _row(found: Mapping[str, Any], quant: str) -> str:
    def value(name: str, form: str, scale: float = 1.0) -> str:
        number = found.get(f"{name}_{quant}", {}).get("value")
        return "n/a" if number is None else format(number * scale, form)

    return (f"| {quant.upper()} | {value('e2e_mean_measured_s', '.0f', 1e3)} ms | "
            f"{value('e2e_mean_simulated_s', '.0f', 1e3)} ms | {value('e2e_mean_error_frac', '+.1%')} | "
            f"{value('e2e_mean_half_range_frac', '.1%')} | {value('replicas', '.0f')} | "
            f"{value('knee_rps', '.3g')} requests/s |")


def _decision(found: Mapping[str, Any]) -> str:
    if "chosen" not in found:
        return "No candidate carried the target load."
    cost = found["usd_per_million_output_tok"]["value"]
    return (f"For {found['target_rate_rps']['value']:.3g} requests/s, 95 % of them within 1 s to the first token and "
            "25 ms a token, "
            f"it chose {found['chosen_replicas']['value']} replicas of {found['chosen']['value']}: "
            f"{found['usd_per_hour']['value']:.3g} USD/h, {cost:.3g} USD per million output tokens (simulated; prices "
            "with their sources in `datasets/prices`).")
