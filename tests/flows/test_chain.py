"""The chain closes: what the simulator ran on a known profile, fit and validate give back.

The logs here are simulated and then labelled real: everything after the measurement is exact, so any error is ours.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sims.overheads import Overheads
from sims.rules import LlamaCppRules, as_facts
from sims.run import simulate
from workbench.cli.main import cli
from workbench.errors import UsageError
from workbench.flows import calibrate
from workbench.flows.engine_in import misfit_ns
from workbench.flows.fit import fit_profile
from workbench.flows.rates import busy_frac, rate_for_busy
from workbench.flows.validate import validate
from workbench.profile.batch import Batch
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog, read, write

RULES = LlamaCppRules(slots=4, n_batch=512)
OVERHEADS = Overheads(in_ns=600_000)


class Known:
    """2 ms a step, 0.9 ms a prompt token, 1.5 ms a running sequence: round numbers near a small CPU engine."""

    step_ns, prompt_ns, decode_ns = 2_000_000, 900_000, 1_500_000

    def iteration_ns(self, batch: Batch) -> int:
        return self.step_ns + batch.prefill_tok * self.prompt_ns + batch.decode_n * self.decode_ns


KNOWN = Known()


class Slower(Known):
    """The same engine on a day when its machine is a tenth slower."""

    def iteration_ns(self, batch: Batch) -> int:
        return super().iteration_ns(batch) * 11 // 10


def measured(
    folder: Path, name: str, schedule: tuple[Planned, ...], role: str, concurrency: int | None = None,
    engine: Known = KNOWN,
) -> Path:
    """A run on the known engine, labelled as a measurement."""
    log = simulate(schedule, engine, RULES, overheads=OVERHEADS, concurrency=concurrency).log
    facts = as_facts(RULES)
    provenance = replace(
        log.provenance, world="real", engine="llama.cpp", model="known", quant="Q8_0",
        engine_facts={key: {"asked": value, "seen": value, "seen_via": "/props"} for key, value in facts.items()},
        workload={"role": role, "name": name},
    )
    path = folder / f"{name}.parquet"
    write(RunLog(provenance, log.table), path)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, dict[str, Path]]:
    folder = tmp_path_factory.mktemp("chain")
    paths = {}
    for item in calibrate.grid(1):
        paths[item.name] = measured(folder, item.name, item.schedule, "grid", item.concurrency)
    low, held = calibrate.poisson(2.0, duration_s=12), calibrate.poisson(3.0, duration_s=40)
    for item in (calibrate.live("live-low", "live", low, 11), calibrate.live("held", "held_out", held, 21)):
        paths[item.name] = measured(folder, item.name, item.schedule, item.role)
    logs = [path for name, path in paths.items() if name != "held"]
    return fit_profile(logs, folder / "profile.json"), paths


def test_the_fit_finds_the_known_engine(world: tuple[Profile, dict[str, Path]]) -> None:
    profile, _ = world
    for batch in (Batch(decode_n=1, decode_ctx_sum_tok=40), Batch(((200, 0),)), Batch(((64, 0),), 3, 150, 60, 40)):
        assert profile.iteration_ns(batch) == pytest.approx(Known().iteration_ns(batch), rel=0.01)


def test_the_way_into_the_engine_is_found(world: tuple[Profile, dict[str, Path]]) -> None:
    profile, paths = world
    assert abs(profile.overhead_ns("engine_in") - OVERHEADS.in_ns) <= 200_000
    logs = [read(path) for name, path in paths.items() if name != "held"]
    assert misfit_ns(logs, RULES, OVERHEADS.in_ns) == 0
    assert misfit_ns(logs, RULES, 2_000_000) > 0, "a wrong delay puts requests into the wrong batch"


def test_the_held_out_run_is_predicted(world: tuple[Profile, dict[str, Path]]) -> None:
    profile, paths = world
    found = validate(profile, [paths["held"]])
    assert abs(found["metrics"]["e2e_s"]["mean"]["rel_error_frac"]) < 0.01
    assert abs(found["metrics"]["ttft_s"]["mean"]["rel_error_frac"]) < 0.01
    assert found["metrics"]["e2e_s"]["mean"]["half_range_frac"] is None
    assert 0.3 < found["busy_frac"] < 1
    assert "within the aim" in found["verdict"]


def test_a_slower_machine_is_told_from_a_wrong_simulator(
    world: tuple[Profile, dict[str, Path]], tmp_path: Path
) -> None:
    profile, paths = world
    found = validate(profile, [paths["held"]])
    assert abs(found["step_drift_frac"]) < 0.01
    item = calibrate.live("slow-day", "held_out", calibrate.poisson(3.0, duration_s=40), 21)
    found = validate(profile, [measured(tmp_path, item.name, item.schedule, item.role, engine=Slower())])
    assert found["step_drift_frac"] == pytest.approx(0.1, abs=0.01)
    assert "steps took 10." in found["verdict"] or "steps took 9." in found["verdict"]


def test_a_wrong_profile_is_called_wrong(world: tuple[Profile, dict[str, Path]]) -> None:
    """The mutant: an engine 30 % slower than the profile says must not pass."""
    profile, paths = world
    slow = replace_times(read(paths["held"]), 1.3)
    path = paths["held"].with_name("slow.parquet")
    write(slow, path)
    assert "outside the aim" in validate(profile, [path])["verdict"]


def replace_times(log: RunLog, factor: float) -> RunLog:
    rows = [
        replace(row, first_token_ns=row.sent_ns + int((row.first_token_ns - row.sent_ns) * factor),
                last_token_ns=row.sent_ns + int((row.last_token_ns - row.sent_ns) * factor),
                chunk_ns=None, chunk_tok=None)
        for row in log.rows() if row.sent_ns is not None and row.first_token_ns is not None
        and row.last_token_ns is not None
    ]
    return RunLog.from_rows(log.provenance, rows)


def test_held_out_and_simulated_logs_never_enter_a_fit(
    world: tuple[Profile, dict[str, Path]], tmp_path: Path
) -> None:
    _, paths = world
    with pytest.raises(UsageError, match=r"held.parquet: held out for validation"):
        fit_profile([paths["grid-1"], paths["held"]])
    log = read(paths["live-low"])
    write(RunLog(replace(log.provenance, world="simulated"), log.table), tmp_path / "sim.parquet")
    with pytest.raises(UsageError, match="a simulated run cannot be fitted"):
        fit_profile([tmp_path / "sim.parquet"])
    with pytest.raises(UsageError, match="a simulated run; validate compares"):
        validate(world[0], [tmp_path / "sim.parquet"])
    write(RunLog(replace(log.provenance, quant="F16"), log.table), tmp_path / "f16.parquet")
    with pytest.raises(UsageError, match=r"f16.parquet: quant is 'F16', in live-low.parquet it is 'Q8_0'"):
        fit_profile([paths["live-low"], tmp_path / "f16.parquet"])
    with pytest.raises(UsageError, match="at least one"):
        fit_profile([])
    with pytest.raises(UsageError, match=r"f16.parquet: quant is 'F16', the profile speaks of 'Q8_0'"):
        validate(world[0], [tmp_path / "f16.parquet"])
    with pytest.raises(UsageError, match=r"live-low.parquet: the profile was fitted to this run"):
        validate(world[0], [paths["live-low"]])
    facts = log.provenance.engine_facts | {"threads": {"asked": 2, "seen": 2, "seen_via": "log"}}
    write(RunLog(replace(log.provenance, engine_facts=facts), log.table), tmp_path / "two.parquet")
    with pytest.raises(UsageError, match=r"two.parquet: threads is 2, in live-low.parquet it is None"):
        fit_profile([paths["live-low"], tmp_path / "two.parquet"])


def test_runs_whose_client_was_the_limit_stay_out(world: tuple[Profile, dict[str, Path]], tmp_path: Path) -> None:
    _, paths = world
    log = read(paths["live-low"])
    slow = replace_times(log, 3.0)
    write(RunLog(replace(log.provenance, client={"client_limited": True}), slow.table), tmp_path / "limited.parquet")
    good = [path for name, path in paths.items() if name != "held"]
    with_it, without = fit_profile([*good, tmp_path / "limited.parquet"]), fit_profile(good)
    assert with_it.model == without.model
    with pytest.raises(UsageError, match="the client was the limit in every run"):
        fit_profile([tmp_path / "limited.parquet"])


def test_a_rate_is_found_for_a_busy_fraction(world: tuple[Profile, dict[str, Path]]) -> None:
    profile, _ = world
    rate = rate_for_busy(profile, 0.5, seed=3, requests=50)
    assert busy_frac(profile, rate, seed=3, requests=50) == pytest.approx(0.5, abs=0.03)


def test_the_commands_write_to_a_default_place(
    world: tuple[Profile, dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, paths = world
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(cli, ["profile", "fit", str(paths["grid-4"]), str(paths["live-low"]), "--json"])
    assert done.exit_code == 0, done.output
    (profile_file,) = (tmp_path / "runs").glob("profile-*.json")
    done = runner.invoke(cli, ["validate", str(paths["held"]), "--profile", str(profile_file), "--json"])
    assert done.exit_code == 0, done.output
    (result,) = (tmp_path / "runs").glob("validation-*.json")
    assert json.loads(result.read_text()) == json.loads(done.stdout)
    done = runner.invoke(cli, ["validate", str(paths["held"]), "--profile", str(profile_file)])
    assert "the aim of 10%" in " ".join(done.stdout.split())
