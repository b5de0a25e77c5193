"""Names, versions and splits: sticky, independent of scale, and undone exactly."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.models.best import Need, best
from workbench.control.models.registry import ModelRegistry, UnknownModel, Version

V1 = Version("m", "1", "sha-a", 8192, 700_000, ("chat",), 100, 300)
V2, V3 = V1._replace(version="2", revision="sha-b"), V1._replace(version="3", revision="sha-c")
USERS = [f"user {i}" for i in range(2000)]


def registry(**aliases: dict[str, int]) -> ModelRegistry:
    return ModelRegistry([V1, V2, V3], aliases)


def arms(models: ModelRegistry, alias: str) -> list[str]:
    return [models.resolve(0, alias, user).version.version for user in USERS]


def test_versions_models_and_aliases_resolve() -> None:
    models = registry(best={"m@3": 1})
    assert [models.resolve(0, name, "u").version.version for name in ("m@2", "m", "best")] == ["2", "1", "3"]
    assert models.versions() == [V1, V2, V3]


def test_a_split_is_sticky_by_weight_and_knows_no_scale() -> None:
    found = arms(registry(a={"m@1": 3, "m@2": 1}), "a")
    assert found == arms(registry(a={"m@1": 3_000, "m@2": 1_000}), "a")
    assert abs(found.count("2") - 500) < 4 * (2000 * 0.25 * 0.75) ** 0.5


def test_who_had_the_canary_keeps_it_when_its_share_grows() -> None:
    models, before = registry(), set[str]()
    for share in (1, 5, 25, 50, 99):
        models.split(0, "a", {"m@2": share, "m@1": 100 - share})
        has = {user for user, arm in zip(USERS, arms(models, "a"), strict=True) if arm == "2"}
        assert before < has
        before = has


def test_experiments_are_independent() -> None:
    models = registry(a={"m@1": 1, "m@2": 1}, b={"m@1": 1, "m@2": 1})
    both = sum(x == y for x, y in zip(arms(models, "a"), arms(models, "b"), strict=True))
    assert abs(both - 1000) < 4 * 500**0.5


def test_without_a_user_by_request() -> None:
    models = registry(a={"m@1": 1, "m@2": 1})
    assert {models.resolve(0, "a", "", f"r{i}").version.version for i in range(50)} == {"1", "2"}


@given(st.lists(st.sampled_from(["m@1", "m@2", "m@3", "back"]), max_size=20))
def test_rollback_undoes_exactly_the_last_split(changes: list[str]) -> None:
    models, stack = registry(), ["m@1"]
    for i, change in enumerate(changes):
        if change != "back":
            models.split(i, "m", {change: 1})
            stack.append(change)
        elif len(stack) > 1:
            stack.pop()
            assert models.rollback(i, "m") == {stack[-1]: 1}
        else:
            with pytest.raises(ValueError, match="alias m: nothing to go back to"):
                models.rollback(i, "m")
        assert models.resolve(i, "m", "u").version.name == stack[-1]


@pytest.mark.parametrize(("call", "message"), [
    (lambda m: m.resolve(0, "mm@2", "u"), "model 'mm@2' is unknown; did you mean 'm@2'"),
    (lambda m: m.split(0, "a", {"m@9": 1}), "version 'm@9' is unknown"),
    (lambda m: m.split(0, "a", {"m@1": 0}), "alias a: m@1 0"),
    (lambda m: m.split(0, "a", {}), "alias a: has no version"),
    (lambda m: m.split(0, "m@1", {"m@2": 1}), "names with @ are versions"),
    (lambda m: m.register(0, V1._replace(revision="other")), "registered with other facts"),
    (lambda m: m.register(0, V1._replace(version="")), "version '' is empty"),
    (lambda m: m.register(0, V1._replace(version="4", context_tok=0)), "context_tok 0"),
    (lambda m: m.register(-1, V1), "went back"),
    (lambda m: ModelRegistry([{"model": "x", "version": "1", "size": 3}]), "version x@1: .*size"),
])
def test_bad_input_says_what(call: Any, message: str) -> None:
    with pytest.raises((ValueError, UnknownModel), match=message):
        call(registry())


CATALOGUE = st.lists(st.builds(
    Version, st.sampled_from("ab"), st.sampled_from("12"), st.just("r"), st.sampled_from([100, 1000]),
    st.integers(0, 3), st.sampled_from([(), ("vision",), ("vision", "tools")]), st.integers(0, 3), st.integers(0, 3),
), max_size=5, unique_by=lambda v: v.name)
NEEDS = st.builds(Need, st.integers(1, 90), st.integers(1, 90), st.sampled_from([(), ("vision",), ("tools",)]),
                  st.integers(0, 3), st.sampled_from([None, 0, 100, 200]))


@given(CATALOGUE, NEEDS)
def test_best_is_the_cheapest_that_can(versions: list[Version], need: Need) -> None:
    choice = best(versions, need)

    def price(v: Version) -> int:
        return need.prompt_tok * v.input_price + need.estimated_tok * v.output_price

    able = [v for v in versions if set(need.capabilities) <= set(v.capabilities)
            and need.prompt_tok + need.estimated_tok <= v.context_tok and v.quality_ppm >= need.floor_ppm
            and (need.most_pusd is None or price(v) <= need.most_pusd)]
    assert (choice.version is None) == (not able)
    assert len(choice.refused) == (0 if able else len(versions))
    if choice.version is not None:
        rank = [(price(v), -v.quality_ppm, v.name) for v in able]
        assert (price(choice.version), -choice.version.quality_ppm, choice.version.name) == min(rank)
        assert choice.price_pusd == price(choice.version)


def test_a_refusal_says_why_for_each() -> None:
    choice = best([V1, V2._replace(capabilities=("chat", "vision"))], Need(9000, 1, ("vision",)))
    assert choice.refused == ("m@1: cannot vision", "m@2: 9001 tokens exceed its context of 8192")
