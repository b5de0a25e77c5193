"""Scenarios by name, and what is known to be wrong before a request is sent."""

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.cli import init
from workbench.errors import UsageError
from workbench.flows.plane_run import run_plane
from workbench.flows.plane_tables import by_tenant, moments, refused
from workbench.flows.sim_files import given, shipped
from workbench.report import plane as plane_report
from workbench.report.plane import write_report
from workbench.report.plane_charts import charts
from workbench.runlog.table import read

PLANE = paths.data("scenarios") / "plane"


@pytest.mark.parametrize("name", [
    "platform.toml", "platform", "plane/platform.toml", "sims/scenarios/plane/platform.toml"])
def test_a_shipped_scenario_is_found_by_its_name_and_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    assert given(Path(name), said.append) == PLANE / "platform.toml"
    assert said == ["using the shipped sims/scenarios/plane/platform.toml"]


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "platform.toml").write_text("title = 'mine'")
    said: list[str] = []
    assert given(Path("platform.toml"), said.append) == Path("platform.toml")
    assert not said


def test_names_are_not_ambiguous() -> None:
    assert max(Counter(Path(name).name for name in shipped()).values()) == 1


@pytest.mark.parametrize(("name", "says"), [
    ("platfrom.toml", "no scenario that ships (did you mean platform.toml"),
    ("multi_tenants", "did you mean multi_tenant.toml"),
    ("/nowhere/platform.toml", "/nowhere/platform.toml: no such file"),
    ("other/platform.toml", "other/platform.toml: no such file"),
])
def test_a_wrong_name_gives_near_ones(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        given(Path(name))
    assert says in str(caught.value)


@pytest.mark.parametrize(("file", "old", "new", "says"), [
    ("platform", 'model = "chat"\nestimated', 'model = "chatt"\nestimated',
     "platform.toml: client.model: model 'chatt' is unknown; did you mean 'chat'?"),
    ("platform", 'tenant = "acme"\ntier', 'tenant = "acmee"\nname = "acme"\ntier', ""),  # no key: that is auth's to say
    ("multi_tenant", None, None, ""),
])
def test_a_model_that_nobody_has_is_told_when_the_file_is_read(
    file: str, old: str | None, new: str, says: str, tmp_path: Path
) -> None:
    text = (PLANE / f"{file}.toml").read_text()
    assert old is None or text.count(old) == 1
    (tmp_path / f"{file}.toml").write_text(text.replace(old, new) if old else text)
    if not says:
        PlaneCase.load(tmp_path / f"{file}.toml")
        return
    with pytest.raises(UsageError) as caught:
        PlaneCase.load(tmp_path / f"{file}.toml")
    assert str(caught.value).startswith(says)


SMALL = """
[[workloads]]
tenant = "acme"
requests = 40
arrivals = { kind = "poisson", rate_per_s = 30.0 }
prompt_tok = { kind = "fixed", tok = 500 }
output_tok = { kind = "fixed", tok = 60 }
[[workloads]]
tenant = "blue"
client = { model = "small" }
requests = 40
arrivals = { kind = "poisson", rate_per_s = 30.0 }
prompt_tok = { kind = "fixed", tok = 500 }
output_tok = { kind = "fixed", tok = 60 }
[fleet]
profile = "llama-3.1-8b-h100-tp1-bf16"
[client]
model = "large"
[control]
window = 2
replicas = [{ models = ["large"] }, { models = ["small"] }]
[control.tenants.tiers]
first = { weight = 1, priority = 0, waiting = 3 }
after = { weight = 1, priority = 1 }
[control.tenants.tenants]
acme = { tier = "first" }
blue = { tier = "after" }
"""


@pytest.mark.parametrize(("old", "new", "says"), [
    ('model = "small" }', 'model = "smal" }', "workloads.1.client.model: no replica of pool 'shared' serves 'smal', "
     "which blue asks for; did you mean 'small'?"),
    ('model = "large"\n', 'model = "huge"\n', "client.model: no replica of pool 'shared' serves 'huge', which acme"),
    ('blue = { tier = "after" }', "", "workloads.1.tenant: 'blue' is not in [control.tenants]; known: 'acme'"),
    ('blue = { tier', 'bleu = { tier', "workloads.1.tenant: 'blue' is not in [control.tenants]; did you mean 'bleu'?"),
])
def test_what_the_plane_would_refuse_of_everybody_is_told_at_once(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    assert SMALL.count(old) == 1
    (tmp_path / "s.toml").write_text(SMALL.replace(old, new))
    with pytest.raises(UsageError) as caught:
        PlaneCase.load(tmp_path / "s.toml")
    assert says in str(caught.value)


def test_why_requests_got_no_answer_is_counted_and_told(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SMALL)
    found = run_plane(tmp_path / "s.toml", SMALL, tmp_path / "out", replications=2)
    for run in found["runs"]:
        log = read(tmp_path / f"out/seed-{run['seed']}.parquet")
        counted = {f"{one['status']} {one['reason']}": one["requests"] for one in run["refusals"]}
        assert counted == Counter(log.counted.where(~log.counted.is_ok).text("error").tolist())
    assert found["refusals"] == [{"outcome": "shed", "status": 429, "reason": "tenant's queue full",
                                  "requests": found["outcomes"]["shed"] / 2}]
    table, = refused(found)
    assert table.rows[0][0] == "shed"
    assert table.rows[0][2:] == ("429", "tenant's queue full")
    assert "own full line" in by_tenant(found).caption
    assert [*found["tiers"]] == ["first", "after"]  # by class, not by name
    assert not refused({**found, "refusals": []})


def test_init_writes_a_scenario_of_the_whole_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(init.command, ["platform"])
    assert found.exit_code == 0, found.output
    assert (tmp_path / "platform.toml").read_text() == (PLANE / "platform.toml").read_text()
    PlaneCase.load(Path("platform.toml"))


def test_the_report_has_reasons_marks_once_and_tiers_by_class(tmp_path: Path) -> None:
    text = SMALL + "[[failures]]\nat_s = 0.5\nreplica = 0\ndown_s = 0.01\n"
    (tmp_path / "s.toml").write_text(text)
    found = run_plane(tmp_path / "s.toml", text, tmp_path / "out", seed=1)
    page = write_report(tmp_path / "out").read_text()
    assert "tenant&#x27;s queue full" in page
    table, = plane_report._happened(found)
    assert [row[0] for row in table.rows] == ["1", "", "", ""]
    assert len(moments(found["runs"][0]["operations"], found["runs"][0]["stop_ns"])) == 1
    latency = charts(read(tmp_path / "out/seed-1.parquet"), found)[2]
    assert [one.name for one in latency.panels[1].series] == ["first", "after"]
