"""`workbench profile`: from a log with known times to the profile that made them, and what it prints."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sims.rules import LlamaCppRules, as_facts
from sims.run import simulate
from workbench.cli.main import main
from workbench.config import validate
from workbench.profile.model import Linear
from workbench.profile.profile import Overhead, Profile, read
from workbench.runlog.provenance import collect
from workbench.runlog.table import RunLog, write
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

GOLDEN = Path(__file__).parent / "golden" / "profile-1.json"
RULES = LlamaCppRules(slots=4, n_batch=512)
TRUTH = Profile(
    source="measured",
    model=Linear(coefficients_fs={"step": 2 * 10**12, "prefill_tok": 10**12, "decode_n": 15 * 10**11}),
    overheads=(Overhead(name="engine_in", ns=1_000_000, occupies_engine=False),),
)


def logged(folder: Path, name: str, rate_per_s: float, seed: int, **changes: str) -> Path:
    """A run of the true profile, written down as a client would have seen it."""
    raw = {"arrivals": {"kind": "poisson", "rate_per_s": rate_per_s}, "requests": 40, "warmup_requests": 1,
           "prompt_tok": {"kind": "lognormal", "mean_tok": 100, "sigma": 0.6, "max_tok": 900},
           "output_tok": {"kind": "lognormal", "mean_tok": 20, "sigma": 0.5, "max_tok": 100}}
    log = simulate(draw(validate(WorkloadSpec, raw, "w"), seed), TRUTH, RULES).log
    facts = as_facts(RULES)
    seen = collect("real", engine="llama.cpp", model="tiny", quant="Q8_0", engine_facts=facts,
                   workload={"role": changes.get("role", "live")})
    provenance = replace(seen, world="simulated") if changes.get("world") == "simulated" else seen
    return write(RunLog(provenance, log.table), folder / f"{name}.parquet")


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    main(["profile", *map(str, words)])
    return capsys.readouterr().out


def test_a_fit_finds_the_profile_that_made_the_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = [logged(tmp_path, "live-1", 2.0, 1), logged(tmp_path, "live-2", 4.0, 2)]
    printed = json.loads(run(capsys, "fit", *logs, "--out", tmp_path / "p.json", "--json"))
    found = read(tmp_path / "p.json")
    assert isinstance(found.model, Linear)
    # the way into the engine is found to a step of 0.2 ms; what it is off by goes into the prompts' time
    assert {key: value / 1e9 for key, value in found.model.coefficients_fs.items()} == pytest.approx(
        {"step": 2000, "prefill_tok": 1000, "decode_n": 1500}, rel=5e-3)
    assert printed["sha256"] == found.sha256
    assert found.rules["slots"] == 4
    assert found.fit_report is not None
    assert [item.run for item in found.fit_report.drift.runs] == ["live-1", "live-2"]
    assert "decoding sequence" in run(capsys, "show", tmp_path / "p.json")


@pytest.mark.parametrize(("changes", "message"), [
    ({"role": "held_out"}, "held out for validation"), ({"world": "simulated"}, "a simulated run cannot be fitted"),
])
def test_logs_that_may_not_enter_a_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    log = logged(tmp_path, "x", 2.0, 1, **changes)
    with pytest.raises(SystemExit) as stopped:
        main(["profile", "fit", str(log), "--out", str(tmp_path / "p.json")])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.json").exists()


def test_show_prints_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", GOLDEN)
    for part in ("llama.cpp tiny-27m Q8_0", "prompt token", "900", "decode step, 4 sequences", "8.40", "mixed",
                 "outside the measured range", "chosen:", "256 KV blocks of 16", "http_in (outside the engine)"):
        assert part in text
    value = json.loads(run(capsys, "show", GOLDEN, "--json"))
    assert value["profile"]["schema"] == 1
    assert {item["name"]: item["inside"] for item in value["figures"]}["decode step, 8 sequences"] is False


def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(run(capsys, "compare", GOLDEN, GOLDEN, "--json"))
    assert {item["ratio"] for item in value["figures"]} == {1.0}
    assert "second / first" in run(capsys, "compare", GOLDEN, GOLDEN)


def test_a_table_profile_and_one_without_a_report_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = json.loads(GOLDEN.read_text()) | {"fit_report": None, "source": "roofline", "model": {
        "kind": "table", "decode_n": [1, 4], "step_fs": [10**12, 3 * 10**12], "slopes_fs": {"prefill_tok": 10**11}}}
    path = tmp_path / "table.json"
    path.write_text(json.dumps(raw))
    text = run(capsys, "show", path)
    assert "iteration with 4 decodes" in text
    assert "(roofline" in text


@pytest.mark.parametrize(("content", "code", "message"), [
    (None, 1, "no such file"), ("{}", 1, "not a profile"), ("x", 1, "not valid JSON"),
])
def test_bad_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, code: int, message: str
) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main(["profile", "show", str(path)])
    error = capsys.readouterr().err
    assert stopped.value.code == code
    assert message in error
    assert error.count("\n") == 1


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom workbench.cli.main import main\n"
        "try: main(['profile', 'fit', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'scipy', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("[]\n")
    assert "Example:" in done.stdout
