"""The committed gallery: eight reports or more, small, whole, and nothing in them asks another server."""

import re
from pathlib import Path

import pytest

from workbench.paths import root
from workbench.report.gallery import MAX_BYTES

TOP = (root() or Path()) / "reports" / "gallery"
PAGES = sorted(path.parent for path in TOP.glob("*/provenance.json"))
NAMED = re.compile(r"(figures/[\w.-]+\.svg)")
# what a browser would fetch; a namespace or a link that one may click is not fetched
FETCHED = re.compile(r"<(?:script|link|iframe|object|embed)\b|@import|url\(\s*[\"']?(?!#)"
                     r"|\b(?:src|srcset|xlink:href)\s*=\s*[\"'](?!figures/|#|data:)", re.IGNORECASE)

pytestmark = pytest.mark.skipif(root() is None, reason="the gallery is part of a checkout")


def test_there_are_eight() -> None:
    assert len(PAGES) >= 8


@pytest.mark.parametrize("folder", PAGES, ids=lambda folder: folder.name)
def test_an_example_is_small_whole_and_alone(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MAX_BYTES
    there = {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    for name in ("README.md", "index.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert set(NAMED.findall(text)) == there, name
        assert not FETCHED.search(text), name
    for path in (folder / "figures").iterdir():
        assert not FETCHED.search(path.read_text(encoding="utf-8")), path.name
    assert "default-src 'none'; script-src 'none'" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ['<img src="https://a.b/c.svg">', '<script src="x.js">', "@import 'a.css'",
                                  "background:url(https://a.b/c)", '<use xlink:href="http://a.b#c"/>',
                                  '<link rel="stylesheet" href="a.css">'])
def test_a_request_would_be_found(text: str) -> None:
    assert FETCHED.search(text)


def test_the_list_names_each_with_a_picture() -> None:
    text = (TOP / "README.md").read_text(encoding="utf-8")
    for folder in PAGES:
        assert f"]({folder.name}/README.md)" in text
        assert f"({folder.name}/index.html)" in text
    shown = re.findall(r'<img src="([\w.-]+)/(figures/[\w.-]+\.svg)" alt="([^"]{20,})"', text)
    assert {name for name, _, _ in shown} == {folder.name for folder in PAGES}
    assert all((TOP / name / picture).is_file() for name, picture, _ in shown)
