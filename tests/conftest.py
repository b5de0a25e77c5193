"""What all tests share: seeded hypothesis, the public data folder, and the rule on skips."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# the same examples on every machine, every time
settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=60,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")

# tests that CI may skip, each with its reason; anything else that skips there fails the run
_RAY = "ray is an extra: 250 MB"
_CHDB = "chdb is an extra: 530 MB"
_ENGINE = "an engine's own environment is 1.2 to 2.5 GB: workbench engines install NAME"
_SKY = "skypilot is large and pins much: WORKBENCH_SKYPILOT_PYTHON names an interpreter that has it"
_K_QUANT = "no llama.cpp quantiser: a prebuilt one is 11 MB from npm, fetched only when a user asks"
_REAL = "tests/engines/test_own_engines_run.py::test_"
MAY_SKIP: dict[str, str] = {
    f"{_REAL}it_starts_streams_stops_and_leaves_nothing": _ENGINE,
    f"{_REAL}who_stands_in_a_batch_does_not_change_an_answer": _ENGINE,
    f"{_REAL}nobody_without_the_key_is_served": _ENGINE,
    f"{_REAL}it_tells_its_version_and_what_was_asked": _ENGINE,
    f"{_REAL}the_load_generator_measures_it": _ENGINE,
    "tests/quantise/test_kquants.py::test_every_value_stays_within_the_format": _K_QUANT,
    "tests/quantise/test_kquants.py::test_fewer_bits_are_further_off": _K_QUANT,
    "tests/quantise/test_kquants.py::test_the_id_is_that_of_what_came_out": _K_QUANT,
    "tests/quantise/test_kquants.py::test_an_importance_matrix_changes_what_is_made": _K_QUANT,
    "tests/quantise/test_kquants.py::test_a_tool_that_fails_is_one_line": _K_QUANT,
    "tests/quantise/test_flow.py::test_a_method_in_its_own_environment":
        "a quantiser's own environment is 1.3 GB: workbench quantise MODEL --to METHOD --install",
    "tests/quantise/test_methods.py::test_a_missing_environment_names_the_flag_and_the_size":
        "the locks of quantisers are for Python 3.11",
    "tests/sweeps_more/test_skypilot.py::test_skypilots_own_parser_takes_it": _SKY,
    "tests/sweeps_more/test_ray_points.py::test_points_on_a_local_ray_are_those_of_a_run_here": _RAY,
    "tests/flows/test_executor.py::test_a_local_ray_gives_the_same_and_listens_on_loopback_only": _RAY,
    "tests/flows/test_compare.py::test_ray_gives_the_same_numbers": _RAY,
    "tests/quality/test_distance_engines.py::test_engines_agree_on_the_likelihood_of_every_document": _ENGINE,
    "tests/quality/test_distance_engines.py::test_four_bits_are_farther_than_full_precision": _ENGINE,
    "tests/quality/test_compare_optimum.py::test_it_really_runs_beside_ours": _ENGINE,
    "tests/quality/test_distance_engines.py::test_speculation_on_vllm_keeps_every_decided_answer": _ENGINE,
    "tests/adapters/test_usage_clickhouse.py::test_clickhouse_answers_as_the_pure_tracker_does": _CHDB,
    "tests/adapters/test_usage_clickhouse.py::test_clickhouse_refuses_a_key_with_two_contents": _CHDB,
    "tests/adapters/test_usage_clickhouse.py::test_clickhouse_counts_once_what_two_writers_inserted_and_does_not_wrap":
        _CHDB,
}


@pytest.fixture
def public_data() -> Path:
    """The folder of public measured data; the test is skipped, saying so, where there is none."""
    from workbench.paths import public_data

    folder = public_data()
    if folder is None:
        pytest.skip("WORKBENCH_DATA does not name the folder of public measured data (docs/data.md)")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache; converted models are shared by the tests of one run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("WORKBENCH_CI"):
        name = item.nodeid.partition("[")[0]
        if name not in MAY_SKIP:
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, and not on the allow-list: {report.longrepr}"
