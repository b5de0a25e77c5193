"""The calculators as one page that works alone and offline: no request, no library, scripts allowed by their hash."""

import base64
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.economics import calculators
from workbench.economics.calculators import CALCULATORS
from workbench.files import write_text

PAGE = Path(calculators.__file__).parent / "page"
INTRO = ("Change a number and look. Nothing leaves this page, and it needs no network. A utilisation, a peak or a "
         "margin that is guessed gives a guess: the workbench simulates them.")


def spec() -> list[dict[str, Any]]:
    """What the page is told of each calculator; the formulas it has itself."""
    return [{
        "name": one.name, "title": one.title, "question": one.question, "source": one.source,
        "inputs": [asdict(item) for item in one.inputs], "outputs": [asdict(item) for item in one.outputs],
    } for one in CALCULATORS]


def page() -> str:
    """The whole page as text."""
    style, formulas, script = ((PAGE / name).read_text(encoding="utf-8")
                               for name in ("style.css", "formulas.js", "page.js"))
    told = json.dumps(spec(), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    policy = (f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src {_hash(style)}; "
              f"script-src {_hash(formulas)} {_hash(script)}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Calculators</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>Calculators</h1>\n<p>{INTRO}</p>\n"
        f'<div id="cards"></div>\n</main>\n<script type="application/json" id="spec">{told}</script>\n'
        f"<script>{formulas}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def write_page(path: Path) -> Path:
    write_text(path, page())
    return path


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
