"""Cores for the ranks of vLLM's CPU build: all ranks alike, no core twice, and one line where there are too few."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.vllm import VLLM_CPU
from engines.vllm_cores import bound, dealt, memory_nodes, physical
from workbench import config
from workbench.errors import ConfigError, Failure


@given(cores=st.sets(st.integers(0, 63), min_size=1).map(sorted), ranks=st.integers(1, 4))
def test_every_rank_gets_as_many_cores_and_none_twice(cores: list[int], ranks: int) -> None:
    if ranks > len(cores):
        with pytest.raises(Failure, match=f"{ranks} ranks want a core each, and {len(cores)} can be used here"):
            dealt(cores, ranks)
        return
    lists = [[int(core) for core in part.split(",")] for part in dealt(cores, ranks).split("|")]
    assert [len(part) for part in lists] == [len(cores) // ranks] * ranks
    assert [core for part in lists for core in part] == cores[:ranks * (len(cores) // ranks)]


def test_one_rank_and_what_was_named_stay_as_they_are() -> None:
    assert [bound("auto", 1), bound("0,1", 1), bound("1|0", 2), bound("nobind", 2)] == ["auto", "0,1", "1|0", "nobind"]


def test_two_threads_of_a_core_are_one_core(tmp_path: Path) -> None:
    for core, siblings in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
        path = tmp_path / f"cpu/cpu{core}/topology/thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(siblings + "\n")
    assert physical([0, 1, 2, 3, 4], tmp_path) == [0, 1, 4], "of core 4 nothing is known"


def test_memory_nodes_are_counted_from_the_kernels_list(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    for text, count in (("0", 1), ("0-1", 2), ("0-1,4", 3)):
        (tmp_path / "node/has_memory").write_text(text + "\n")
        assert memory_nodes(tmp_path) == count
    assert memory_nodes(tmp_path / "none") == 1


def test_a_list_of_cores_for_each_rank() -> None:
    assert config.validate(VLLM_CPU.options, {"tp": 2, "threads_bind": "0|1"}, "suite.toml").ranks == 2
    with pytest.raises(ConfigError, match=r"'0-1' is 1 lists of cores for 2 ranks; give one for each"):
        config.validate(VLLM_CPU.options, {"tp": 2, "threads_bind": "0-1"}, "suite.toml")
