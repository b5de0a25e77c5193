"""Policies of the user's own that are wrong: said when they are loaded, or as one line that names them."""

from pathlib import Path

import pytest

from sims.plane.custom import blamed, load_policy
from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.errors import Failure, UsageError
from workbench.flows import plane_policies
from workbench.flows.plane_replicate import PlaneTask as Replication
from workbench.flows.plane_replicate import replicate_plane
from workbench.flows.plane_run import PlaneTask, run_seed

PRODUCTION = paths.data("scenarios") / "plane" / "production.toml"
MINE = """
from workbench.control.scheduling.ordered import Ordered

class Empty: pass
class Half:
    def push(self, now_ns, item): pass
    def pop(self, now_ns): pass
    def __len__(self): return 0
class Narrow:
    def pick(self, item): return 0
class Tenth:
    def __init__(self): self.picks = 0
    def pick(self, now_ns, item, candidates):
        self.picks += 1
        return candidates[0].replica + (0 if self.picks < 10 else {}["tenth"])
class Nowhere:
    def pick(self, now_ns, item, candidates): return 99
class Keyless(Ordered):
    def key(self, item): return item.no_such_thing
class Greedy:
    def __init__(self): raise RuntimeError("no")
    def pick(self, now_ns, item, candidates): return 0
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize(("kind", "name", "says"), [
    ("routing", "Empty", "Empty lacks pick; docs/control/routing.md"),
    ("scheduling", "Empty", "Empty lacks push, pop, peek, remove, charge, waiting, __len__; "),
    ("scheduling", "Half", "Half lacks peek, remove, charge, waiting; docs/control/scheduling.md"),
    ("routing", "Narrow", "Narrow.pick must take (self, now_ns, item, candidates); "),
])
def test_what_a_class_lacks_is_said_when_it_is_loaded(mine: Path, kind: str, name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_policy(f"{kind}={mine}:{name}")
    assert says in str(caught.value)


@pytest.mark.parametrize(("text", "says"), [
    ("routing=Tenth", "mine.py:Tenth: pick, line 15: KeyError: 'tenth'"),
    ("scheduling=Keyless", "mine.py:Keyless: key, line 19: AttributeError: "),
    ("routing=Nowhere", "mine.py:Nowhere: the control plane stops at what it answers (fleet.py line "),
])
def test_what_it_raises_or_answers_wrong_is_one_line_that_names_it(mine: Path, text: str, says: str) -> None:
    kind, _, name = text.partition("=")
    chosen = plane_policies.parse([f"{kind}={mine}:{name}"])
    case = plane_policies.chosen_in(PlaneCase.load(PRODUCTION), chosen)
    with pytest.raises(Failure) as caught:
        run_seed(PlaneTask(case, 1, chosen))
    assert str(caught.value).startswith(says)
    with pytest.raises(Failure) as again:
        replicate_plane(Replication(case, 1, chosen))
    assert str(again.value) == str(caught.value)


def test_a_constructor_that_fails_is_named_before_any_work(mine: Path) -> None:
    chosen = plane_policies.parse([f"routing={mine}:Greedy"])
    with pytest.raises(Failure, match=r"^mine.py:Greedy: __init__, line 21: RuntimeError: no$"):
        plane_policies.chosen_in(PlaneCase.load(PRODUCTION), chosen)


def test_without_a_file_of_ones_own_an_error_is_ours() -> None:
    with pytest.raises(ZeroDivisionError), blamed({}):
        raise ZeroDivisionError
