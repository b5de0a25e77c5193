"""The register of the book's figures: every row agrees with its recomputation, and a row that would not is found."""

import json
from pathlib import Path

import pytest

from workbench.cli.main import main
from workbench.config import parse
from workbench.economics.claims.found import VERDICTS, room_tok
from workbench.economics.claims.register import Claim, Register, check_of, disagreement, register
from workbench.economics.claims.serving import kept_hit_frac
from workbench.errors import ConfigError, UsageError
from workbench.flows.claims import JOINED, SIMULATED, claims, page, said
from workbench.hardware import models
from workbench.paths import datasets, root

ROWS = register()


@pytest.mark.parametrize("claim", [one for one in ROWS if not one.simulated], ids=lambda one: one.id)
def test_a_row_is_what_its_check_finds(claim: Claim) -> None:
    found = check_of(claim, JOINED)()
    assert disagreement(claim, found) is None
    assert found.numbers
    assert "{" not in said(claim, found)


@pytest.mark.slow
@pytest.mark.parametrize("claim", [one for one in ROWS if one.simulated], ids=lambda one: one.id)
def test_a_simulated_row_is_what_its_check_finds(claim: Claim) -> None:
    assert disagreement(claim, check_of(claim, SIMULATED)()) is None


def test_every_verdict_and_every_part_of_the_book_is_there() -> None:
    assert {one.verdict for one in ROWS} == set(VERDICTS)
    assert {one.chapter for one in ROWS} >= {"I", "2", "5.5", "6", "8", "9", "10", "15", "16", "17", "18", "G", "H"}
    assert len(ROWS) >= 30
    assert {one.check for one in ROWS if one.simulated} == set(SIMULATED)


def test_a_few_of_them_by_hand() -> None:
    """70B: 70.6e9 weights of 2 bytes; two cards of 79.22 GiB at 0.9; 320 KiB of KV a token."""
    assert models.find("Llama-3.1-70B").params * 2 / 2**30 == pytest.approx(131.4, abs=0.05)
    by_hand = (2 * 79.22 * 0.9 - 131.418) * 2**30 / (320 * 1024)
    assert room_tok("Llama-3.1-70B", "bf16", "H100", 2) == pytest.approx(by_hand, rel=1e-3)
    numbers = {one.id: one.numbers for one in ROWS}
    assert numbers["browser-savings"]["saved_frac_of_3_gpus"] == pytest.approx(2 / 3, abs=1e-5)
    assert numbers["tpu-break-even"]["requests_per_day"] == pytest.approx(24 * 3.3 / (1000 * 0.4e-6))


def test_a_row_that_is_wrong_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (datasets() / "claims.toml").read_text(encoding="utf-8")
    for old, new, message in (("kv_gb = 34.3597", "kv_gb = 44.3597", "llama2_7b_kv_gb is 34.3597"),
                              ('verdict = "wrong"', 'verdict = "holds"', "the check says wrong"),
                              ("that_exist = 0.0, ", "", "the check gives")):
        assert old in text
        path = tmp_path / "claims.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        wrong = [row["disagreement"] for row in claims(path=path)["claims"] if row["disagreement"]]
        assert len(wrong) == 1
        assert message in wrong[0]


@pytest.mark.parametrize(("change", "message"), [
    ({"check": "memory.no_such"}, "is no function"), ({"check": "nowhere.at_all"}, "is no function"),
])
def test_a_check_that_is_not_there_is_one_line(change: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_of(ROWS[0].model_copy(update=change), SIMULATED)


def test_words_that_name_no_number_are_one_line() -> None:
    bad = ROWS[1].model_copy(update={"say": "{gone:.1f}"})
    with pytest.raises(UsageError, match="vram-formula: say"):
        said(bad, check_of(bad, SIMULATED)())


def test_two_rows_of_one_name_are_refused() -> None:
    row = ('[[claim]]\nid = "abc"\nchapter = "1"\nclaim = "x"\ncheck = "a.b"\nverdict = "holds"\nsay = "y"\n'
           'numbers = {}\n')
    with pytest.raises(ConfigError, match="same id twice"):
        parse(Register, row + row, "claims.toml")


def test_the_command_and_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    main(["claims", "--chapter", "G", "--json"])
    found = json.loads(capsys.readouterr().out)["claims"]
    assert {row["chapter"] for row in found} == {"G"}
    assert all(row["recomputed"] for row in found)
    with pytest.raises(SystemExit):
        main(["claims", "--chapter", "99"])
    assert "there are I, 2" in capsys.readouterr().err
    top = root()
    if top is not None:
        assert (top / "docs" / "economics" / "claims.md").read_text(encoding="utf-8") == page()


def test_the_newer_checks_by_hand() -> None:
    """One question at one a second, kept for nine: one miss, nine hits. 8.03e9 weights, nearly all of one byte, and
    16-bit tables, over 10 Gbit/s."""
    assert kept_hit_frac([1.0], 1.0, 9.0) == pytest.approx(0.9)
    assert kept_hit_frac([0.5, 0.5], 2.0, 9.0) == pytest.approx(0.9)
    assert kept_hit_frac([1.0], 1.0, 0.0) == 0.0
    numbers = {one.id: one.numbers for one in ROWS}
    assert 8.03e9 * 8 / 1e10 < numbers["cold-start"]["8b_fp8_10_gbit_s"] < 1.2 * 8.03e9 * 8 / 1e10
