"""Calculators: the same as the room's own functions, every bad input one line, and JavaScript equal to Python."""

import itertools
import json
import math
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from workbench.cli.main import main
from workbench.economics.break_even import break_even
from workbench.economics.calculators import CALCULATORS, Calculator
from workbench.economics.closed_loop import bounds
from workbench.economics.owned import annuity
from workbench.economics.rented import Spot, worth_it_below
from workbench.economics.unit_cost import Load
from workbench.errors import UsageError
from workbench.flows.calculators import PAGE, page, write_page
from workbench.hardware import accelerators, models
from workbench.hardware.fit import Ask, ceiling_tok_per_s

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed (apt-get install chromium)")
BY_NAME = {one.name: one for one in CALCULATORS}


def grid(calculator: Calculator) -> list[dict[str, float]]:
    """Defaults, every input at both ends and in between with the others at their defaults, and all corners of three."""
    usual = {one.name: one.default for one in calculator.inputs}
    points = [usual]
    for one in calculator.inputs:
        middle = math.sqrt(one.low * one.high) if one.low > 0 else (one.low + one.high) / 2
        for value in (one.low, one.high, middle, (one.low + 3 * one.default) / 4):
            points.append({**usual, one.name: float(round(value)) if one.whole else value})
    for names in itertools.combinations(calculator.inputs, min(3, len(calculator.inputs))):
        for ends in itertools.product(*((one.low, one.high) for one in names)):
            points.append({**usual, **{one.name: end for one, end in zip(names, ends, strict=True)}})
    return points


def test_they_are_the_room_s_own_functions() -> None:
    even = break_even(4.29, Load(1.0, 900, 220), 0.4, 0.4)
    assert BY_NAME["break_even"]()["requests_per_s"] == pytest.approx(even.rate_rps)
    capital = BY_NAME["own_or_rent"]()["capital_usd"]
    assert capital == pytest.approx(annuity(317_000, 0.3 * 317_000, 0.1 / 12, 36))
    spot, own = BY_NAME["spot"](), Spot(2.49, 1 / 24, 480)
    assert spot["usd_per_served_hour"] == pytest.approx(own.usd_per_served_hour)
    assert spot["worth_up_to_per_day"] == pytest.approx(24 * worth_it_below(4.49, 2.49, 480))
    ends = bounds(400, 20, 1, 31)
    assert BY_NAME["users"]()["knee_users"] == pytest.approx(ends.knee_users)
    assert BY_NAME["users"]()["rate_rps"] == pytest.approx(ends.throughput_rps)
    llama, card = models.find("Llama-3.1-8B"), accelerators.find("RTX3060")
    memory = BY_NAME["memory"](params_b=llama.params / 1e9, bits=16)
    assert memory["weights_gib"] == pytest.approx(llama.weight_bytes() / 2**30)
    assert memory["kv_kib_per_tok"] * 1024 == llama.kv_bytes_per_tok()
    limit = BY_NAME["ceiling"](active_b=llama.params / 1e9, bits=16)["tok_per_s"]
    assert limit == pytest.approx(ceiling_tok_per_s(card, llama, Ask("bf16", 1)), rel=1e-6)


@pytest.mark.parametrize("calculator", CALCULATORS, ids=lambda one: one.name)
def test_every_input_is_checked_and_every_output_is_there(calculator: Calculator) -> None:
    names = {one.name for one in calculator.outputs}
    for point in grid(calculator):
        assert set(calculator(**point)) == names
    for one in calculator.inputs:
        assert one.low <= one.default <= one.high
        for bad in (one.low - 1, one.high + 1, math.nan, math.inf, *([one.low + 0.5] if one.whole else [])):
            with pytest.raises(UsageError, match=f"^{one.name}: "):
                calculator(**{one.name: bad})
    with pytest.raises(UsageError, match="is no input; there are"):
        calculator(nonsense=1.0)


def test_the_page_asks_nobody_for_anything() -> None:
    text = page()
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|//[a-z]|src=|href=|@import|url\(|fetch\(|XMLHttp", text.replace("// ", ""))
    assert len(text) < 60_000


def browsed(path: Path, folder: Path) -> str:
    """The page's elements after its scripts ran; nothing was said on the console."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
         f"--user-data-dir={folder}/browser", "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom",
         path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@NEEDS_BROWSER
def test_javascript_equals_python_on_a_grid(tmp_path: Path) -> None:
    points = {one.name: grid(one) for one in CALCULATORS}
    script = (PAGE / "formulas.js").read_text(encoding="utf-8")
    tail = ("const out = {}; const known = (v) => (Number.isFinite(v) ? v : null);"
            "for (const [name, many] of Object.entries(POINTS)) out[name] = many.map((x) => "
            "Object.fromEntries(Object.entries(FORMULAS[name](x)).map(([k, v]) => [k, known(v)])));"
            "document.getElementById('out').textContent = JSON.stringify(out);")
    path = tmp_path / "grid.html"
    path.write_text(f"<!doctype html><pre id=out></pre><script>{script}\nconst POINTS = {json.dumps(points)};\n{tail}"
                    "</script>", encoding="utf-8")
    shown = re.search(r'<pre id="out">(.*?)</pre>', browsed(path, tmp_path), re.DOTALL)
    assert shown is not None
    found: dict[str, list[dict[str, Any]]] = json.loads(unescape(shown[1]))
    compared = 0
    for name, many in points.items():
        for point, theirs in zip(many, found[name], strict=True):
            ours = BY_NAME[name](**point)
            assert set(ours) == set(theirs)
            for key, value in ours.items():
                compared += 1
                if math.isfinite(value):
                    assert theirs[key] == pytest.approx(value, rel=1e-9, abs=1e-9), (name, key, point)
                else:
                    assert theirs[key] is None
    assert compared > 5_000


@pytest.mark.slow
@NEEDS_BROWSER
def test_the_page_reckons_in_a_real_browser(tmp_path: Path) -> None:
    shown = browsed(write_page(tmp_path / "calculators.html"), tmp_path)
    for one in CALCULATORS:
        for output, value in zip(one.outputs, one().values(), strict=True):
            text = f"{value:,.{output.digits}f} {output.unit}".strip()
            assert f'id="{one.name}-{output.name}">{text}<' in shown
        for item in one.inputs:
            assert f'for="{one.name}-{item.name}"' in shown


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["calculators", "spot", "--set", "interruptions_per_day=0", "--json"])
    assert json.loads(capsys.readouterr().out)["outputs"]["served"] == 100
    main(["calculators", "memory"])
    assert "KV cache of a token" in capsys.readouterr().out
    main(["calculators", "--page", str(tmp_path / "a.html")])
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page()
    for words, message in (("spott", "did you mean 'spot'"), ("spot --set x", "INPUT=NUMBER"),
                           ("spot --set lost_min=many", "INPUT=NUMBER"), ("spot --set lost_min=-1", "from 0")):
        with pytest.raises(SystemExit):
            main(["calculators", *words.split()])
        assert message in capsys.readouterr().err
