"""docs/control/proven.md and index.md name what is there: tests that exist, mutants behind each claim, files."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/control/proven.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs/control/index.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = [(line.split("|")[1].strip(), NAMED.findall(line)) for line in PAGE.splitlines() if "`tests/" in line
        and line.startswith("|")]
TABLE = tomllib.loads((ROOT / "tests/mutants.toml").read_text(encoding="utf-8"))["mutant"]
MUTATED = {mutant["test"].partition("[")[0] for mutant in TABLE}
FAULTS = ("overshoots_under_concurrency", "double_burst", "starves_small", "stale_metrics", "flaps")


@pytest.mark.parametrize(("claim", "tests"), ROWS, ids=[claim[:50] for claim, _ in ROWS])
def test_each_claim_has_tests_and_a_mutant_that_must_fail_them(claim: str, tests: list[tuple[str, str]]) -> None:
    assert tests, claim
    for path, name in tests:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async def|def|class) {name}\b|^{name} = ", text, re.MULTILINE), f"{path}::{name}"
    names = {f"{path}::{name}" for path, name in tests}
    by_hand = any(name.startswith("test_mutant_") for _, name in tests)  # a broken policy inside the test itself
    assert by_hand or names & MUTATED, f"{claim}: none of its tests has a mutant"


def test_the_five_public_faults_are_there_by_name() -> None:
    faults = PAGE.partition("## Five public faults")[2]
    for part in FAULTS:
        assert re.search(rf"::test_\w*{part}\w*`", faults), part
        assert re.search(rf"::test_\w*{part}\w*`", INDEX), part


def test_every_registered_policy_has_a_mutant() -> None:
    from workbench.control.registry import POLICIES

    files = {mutant["file"] for mutant in TABLE}
    v0_1 = {"workbench/control/queues.py", "workbench/control/routers.py"}  # their oracles are in tests/control
    for kind, names in POLICIES.items():
        for name, where in names.items():
            file = where.partition(":")[0].replace(".", "/") + ".py"
            assert file in files | v0_1, f"{kind} {name}"


def test_every_interface_of_the_book_has_its_file_and_page() -> None:
    rows = [line.split("|")[1:-1] for line in INDEX.splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert names == {
        "UserManager", "RateLimiter", "CacheManager", "QueueManager", "SchedulingPolicy", "BackendPool",
        "RequestRouter", "TenantManager", "ResourceAllocator", "CostTracker", "BillingEngine", "PaymentProcessor",
        "ModelRegistry", "DistributedCoordinator", "CapacityPlanner", "AnomalyDetector", "HybridRouter",
        "BrowserModelRegistry", "InferenceBackend", "MetricsCollector", "TPUBackend"}
    for row in rows:
        for file in re.findall(r"`([\w/]+\.py)`", row[2]):
            assert (ROOT / file).is_file(), file
        for page in re.findall(r"\(([\w./]+\.md)\)", row[3]):
            assert (ROOT / "docs/control" / page).is_file(), page
