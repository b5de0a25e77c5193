"""The README's numbers: read from the committed example report, never typed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.files import read_json

EXAMPLE = Path("reports/gallery/capacity")
BEGIN = "<!-- results: written by `workbench docs build` from reports/gallery/capacity/results.json -->"
END = "<!-- end of results -->"
QUANTS = ("q4_0", "q8_0", "f16")


def filled(readme: str, top: Path) -> str:
    """The README's text with its results section written anew from the example's results."""
    folder = top / EXAMPLE
    if not (folder / "results.json").is_file():
        return readme
    found = {item["name"]: item for item in read_json(folder / "results.json")}
    section = f"{BEGIN}\n{_section(found, read_json(folder / 'provenance.json'))}\n{END}"
    text, count = re.subn(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: section, readme, flags=re.DOTALL)
    if count != 1:
        raise Failure("README.md: the two results markers are not there exactly once; restore them")
    return text


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
