"""Reports in a real browser (Debian's chromium): nothing is loaded, no error, every plot drawn, no text cut off."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.paths import root
from workbench.report import beside, gallery, kept, lanes, library

BOOK = [item.name for item in library.every() if item.chapter]
PHONE, DESK = {"width": 400, "height": 800}, {"width": 1100, "height": 900}
# labels of the figures that stick out of their figure, and the page's own width
CUT = """() => {
  const found = [];
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {
    const box = plot.getBoundingClientRect();
    for (const text of plot.querySelectorAll('svg text')) {
      const own = text.getBoundingClientRect();
      if (!own.width || text.closest('.hoverlayer')) continue;
      if (own.left < box.left - 2 || own.right > box.right + 2 || own.top < box.top - 2 || own.bottom > box.bottom + 2)
        found.push(text.textContent);
    }
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth + 1) found.push(`page is ${page.scrollWidth} wide in ${page.clientWidth}`);
  return found;
}"""
DRAWN = """() => [...document.querySelectorAll('script.figure')].map((data) => {
  const place = document.getElementById(data.dataset.target);
  return [data.dataset.target, place.querySelectorAll('.trace, .point, .bars path').length];
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    words = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
    with sync.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=words)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    ended = lanes.fast(lanes.book(quick=True), folder, lambda *_: None)
    from workbench.report import index

    index.write(folder)
    assert not [item for item in ended if item.error]
    return folder


def visit(browser: Any, path: Path, *, size: dict[str, int] = DESK, dark: bool = False) -> tuple[Any, list[str]]:
    """The open page, and what went wrong on the way."""
    page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else
            wrong.append(asked.url))
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    return page, wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOK)
def test_a_report_is_whole(browser: Any, out: Path, name: str) -> None:
    path = kept.find(name, out) / "report.html"
    for size, dark in ((DESK, False), (DESK, True), (PHONE, False)):
        page, wrong = visit(browser, path, size=size, dark=dark)
        assert not wrong
        drawn = page.evaluate(DRAWN)
        assert drawn
        assert all(marks for _, marks in drawn), drawn
        assert not page.evaluate(CUT)
        page.close()


@pytest.mark.slow
def test_the_index_works_by_keyboard(browser: Any, out: Path) -> None:
    page, wrong = visit(browser, out / "index.html")
    page.keyboard.type("rate limit")  # the field has the focus
    shown = page.locator(".cards>li:visible")
    assert shown.count() == 1
    assert "ch07" in shown.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ch07_rate_limits/**")
    assert not wrong


@pytest.mark.slow
def test_one_file_opens_alone(browser: Any, out: Path, tmp_path: Path) -> None:
    alone = tmp_path / "one.html"
    shutil.copyfile(kept.find("ch12", out) / "report.html", alone)
    page, wrong = visit(browser, alone)
    assert not wrong
    assert all(marks for _, marks in page.evaluate(DRAWN))


@pytest.mark.slow
def test_two_runs_side_by_side(browser: Any, out: Path, tmp_path: Path) -> None:
    run = kept.find("ch12", out)
    page, wrong = visit(browser, beside.write(run, run, tmp_path / "both.html"), size={"width": 1400, "height": 900})
    assert not wrong
    drawn = page.evaluate(DRAWN)
    assert {name for name, _ in drawn} >= {"figure-Alatency", "figure-Blatency"}
    assert all(marks for _, marks in drawn)


@pytest.mark.slow
def test_gallery_pages_show_their_pictures(browser: Any, out: Path, tmp_path: Path) -> None:
    gallery.write(kept.find("ch12", out), tmp_path / "g")
    top = root()
    assert top is not None
    pages = [tmp_path / "g" / "index.html", *sorted((top / "reports" / "gallery").glob("*/index.html"))]
    for path in pages:
        page, wrong = visit(browser, path)
        assert not wrong, path
        assert page.evaluate("() => [...document.images].every((image) => image.naturalWidth > 0)"), path
        page.close()
