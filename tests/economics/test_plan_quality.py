"""Which profiles a plan finds the quality of: the same weights, or the same mix of the model that theirs grew from."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_server import server

from workbench.cli.main import main
from workbench.flows.plan import Known
from workbench.flows.quality_plan import of_task
from workbench.profile.model import Linear
from workbench.profile.profile import Profile, Subject
from workbench.profile.profile import write as written
from workbench.quality.table import QualityRow, Score, write
from workbench.stats.intervals import Interval

ROWS = {("Q8_0", "f16"): 0.99, ("Q4_0", "f16"): 0.97, ("Q4_K_M", "f16"): 0.96, ("Q4_K_M", "q8_0"): 0.9}
PLAN = """
seeds = [1, 2]
max_replicas = 4
knee = false
[workload]
requests = 40
warmup_requests = 5
arrivals = { kind = "fixed", rate_per_s = 50 }
prompt_tok = { kind = "fixed", tok = 1 }
output_tok = { kind = "fixed", tok = 1 }
[slo]
ttft_s = 0.05
attainment_frac = 0.9
[[candidate]]
name = "mix"
profile = "mix.json"
usd_per_hour = 0.1
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows, path = [], tmp_path_factory.mktemp("table") / "t.csv"
    for (quant, kv_type), low in ROWS.items():
        words = {"model": "tiny", "quant": quant, "engine": "llama.cpp", "version": "1", "kv_type": kv_type,
                 "weights_id": f"of {quant}", "gpus": "", "beware": "", "kl_kind": "exact", "speed_of": ""}
        rows.append(QualityRow(words, {}, {}, {"t": Score(Interval(0.5, 0.25, 0.75, 8), 1.0, low)}))
    write(rows, path)
    return path


def profile(**subject: str) -> Profile:
    return Profile(source="measured", model=Linear(coefficients_fs={"step": 1}), subject=Subject(**subject))


def test_a_grown_mix_counts_as_the_mix_of_what_it_grew_from_and_says_so(table: Path) -> None:
    known = of_task("t", table)
    grown = {"model": "tiny-27m", "grown_from": "tiny", "kv_type": "f16"}
    assert known(profile(**grown, quant="Q4_K_M", weights_id="another mix")) == Known(
        0.96, "quality is of tiny Q4_K_M, joined by name: tiny-27m grew from it, and its Q4_K_M mixes other types of "
              "tensors")
    assert known(profile(**grown, quant="Q4_0", weights_id="of Q4_0")) == Known(0.97)
    derived = known(profile(**grown, quant="Q4_K_M"))
    assert derived is not None
    assert derived.beware.endswith("its Q4_K_M may mix other types of tensors")


@given(quant=st.sampled_from(["Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M"]), grown_from=st.sampled_from(["", "tiny", "other"]),
       weights_id=st.sampled_from(["of Q8_0", "of Q4_0", "of Q4_K_M", "else"]),
       kv_type=st.sampled_from(["f16", "q8_0", "q4_0"]))
def test_nothing_else_joins(quant: str, grown_from: str, weights_id: str, kv_type: str, table: Path) -> None:
    known = of_task("t", table)(
        profile(model="m", quant=quant, grown_from=grown_from, weights_id=weights_id, kv_type=kv_type))
    exact = {f"of {name}": low for (name, kv), low in ROWS.items() if kv == kv_type}.get(weights_id)
    if exact is not None:
        assert known == Known(exact)
    elif grown_from == "tiny" and quant == "Q4_K_M" and kv_type != "q4_0":
        assert known is not None
        assert (known.score, bool(known.beware)) == (ROWS[quant, kv_type], True)
    else:
        assert known is None


def test_the_plan_prints_the_mismatch_beside_the_candidate(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mix = profile(model="tiny-27m", grown_from="tiny", quant="Q4_K_M", weights_id="another mix", kv_type="f16")
    written(server().model_copy(update={"subject": mix.subject}), tmp_path / "mix.json")
    (tmp_path / "plan.toml").write_text(PLAN)
    asked = ["plan", str(tmp_path / "plan.toml"), "--quality-table", str(table), "--min-quality"]
    main([*asked, "t=0.95", "--out", str(tmp_path / "out")])
    assert "mix: quality is of tiny Q4_K_M, joined by name: tiny-27m grew from it" in " ".join(
        capsys.readouterr().out.split())
    (candidate,) = json.loads((tmp_path / "out" / "plan.json").read_text())["candidates"]
    assert (candidate["quality"], candidate["quality_met"], candidate["rejected"]) == (0.96, True, None)
    with pytest.raises(SystemExit) as nothing_is_left:
        main([*asked, "t=0.97", "--out", str(tmp_path / "out2"), "--json"])
    assert nothing_is_left.value.code == 1
    assert json.loads(capsys.readouterr().out)["candidates"][0]["rejected"] == \
        "quality binds: 0.96, 0.97 is asked, 0.01 short"
