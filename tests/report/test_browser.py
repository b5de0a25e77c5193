"""Reports in a real browser (Debian's chromium): nothing is loaded, no error, every plot drawn, no text cut off."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.cli.main import main
from workbench.figures.chart import MIME, Chart, Panel, Series
from workbench.paths import root
from workbench.report import beside, export, gallery, index, kept, lanes, library
from workbench.report.style import DRAW

BOOK = [item.name for item in library.every() if item.chapter]
PHONE, DESK = {"width": 400, "height": 800}, {"width": 1100, "height": 900}
# labels that stick out of their figure, lie on each other or on a panel, and a page wider than its window
CUT = """() => {
  const found = [];
  const meet = (a, b, by) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > by
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > by;
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {
    const box = plot.getBoundingClientRect(), seen = [];
    for (const text of plot.querySelectorAll('svg text')) {
      const own = text.getBoundingClientRect();
      if (!own.width || text.closest('.hoverlayer')) continue;
      if (own.left < box.left - 2 || own.right > box.right + 2 || own.top < box.top - 2 || own.bottom > box.bottom + 2)
        found.push(`cut off: ${text.textContent}`);
      const turned = /rotate\\((?!-?90|0)/.test(text.getAttribute('transform') || '');  // its box is not its shape
      if (!turned && !text.closest('.textpoint')) seen.push([text.textContent, own]);
    }
    seen.forEach(([name, own], i) => seen.slice(i + 1).forEach(([other, its]) => {
      if (meet(own, its, 3)) found.push(`on each other: ${name} / ${other}`);
    }));
    const layout = plot._fullLayout;
    const areas = Object.keys(layout).filter((key) => /^xaxis[0-9]*$/.test(key)).map((key) => {
      const x = layout[key], y = layout[key.replace('x', 'y')];
      return {left: box.left + x._offset, right: box.left + x._offset + x._length,
        top: box.top + y._offset, bottom: box.top + y._offset + y._length};
    });
    for (const text of plot.querySelectorAll('.infolayer text[class*=title]')) {
      if (/^y/.test(text.getAttribute('class')) && areas.some((area) => meet(area, text.getBoundingClientRect(), 1)))
        found.push(`on a panel: ${text.textContent}`);
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
REDRAWN = """() => [...document.querySelectorAll('.js-plotly-plot')].every((plot) =>
  Math.abs(plot._fullLayout.width - plot.getBoundingClientRect().width) < 1
  && plot.querySelector('.main-svg').getBoundingClientRect().width <= plot.getBoundingClientRect().width)"""
BRIGHT = """() => getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).every((c) => c > 128)"""


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
    index.write(folder)
    assert not [item for item in ended if item.error]
    return folder


def visit(browser: Any, path: Path, *, size: dict[str, int] = DESK) -> tuple[Any, list[str]]:
    """The open page, and what went wrong on the way."""
    page = browser.new_page(viewport=size, color_scheme="light", offline=True)
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else
            wrong.append(asked.url))
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    return page, wrong


def faults(page: Any, wrong: list[str]) -> list[str]:
    """What a reader would see: errors and requests so far, figures without marks, words that cannot be read."""
    empty = [f"not drawn: {name}" for name, marks in page.evaluate(DRAWN) if not marks]
    return [*wrong, *empty, *page.evaluate(CUT)]


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOK)
def test_a_report_is_whole(browser: Any, out: Path, name: str) -> None:
    page, wrong = visit(browser, kept.find(name, out) / "report.html")
    assert page.evaluate(DRAWN)
    assert faults(page, wrong) == []
    assert page.evaluate(BRIGHT)
    page.emulate_media(color_scheme="dark")
    assert faults(page, wrong) == []
    assert not page.evaluate(BRIGHT)
    page.set_viewport_size(PHONE)
    page.wait_for_function(REDRAWN)  # plotly draws anew a little later
    assert faults(page, wrong) == []
    page.close()


def small(browser: Any, folder: Path, *, more: str = "", points: int = 2, label: str = "time (s)",
          panels: int = 1) -> list[str]:
    """The faults of a page with one figure."""
    series = Series("a", tuple(range(points)), tuple(float(x) for x in range(points)), "measured")
    chart = Chart("c", "x (s)", (Panel(label, (series,)),) * panels, "What.", "n = 2", "A line that rises.")
    body = export.figure(chart) + more
    path = folder / "page.html"
    path.write_text(export.shell("small", body, [export.plotly_source(), DRAW]), encoding="utf-8")
    page, wrong = visit(browser, path)
    found = faults(page, wrong)
    page.close()
    return found


@pytest.mark.slow
def test_a_broken_page_would_be_found(browser: Any, tmp_path: Path) -> None:
    """Each thing that the other tests look for, made on purpose."""
    assert small(browser, tmp_path) == []
    assert any("example.invalid" in fault for fault in small(
        browser, tmp_path, more='<img src="https://example.invalid/x.png" alt="">'))
    assert any("Content Security Policy" in fault for fault in small(browser, tmp_path, more="<script>1</script>"))
    assert small(browser, tmp_path, points=0) == ["not drawn: figure-c"]
    assert small(browser, tmp_path, more=f"<table><tr><th>{'x' * 400}</th></tr></table>")
    assert any("on a panel" in fault for fault in small(
        browser, tmp_path, label=" ".join(["a very long label of an axis"] * 6) + " (s)", panels=4))


@pytest.mark.slow
def test_a_name_has_one_colour_in_every_report(out: Path) -> None:
    colours: dict[str, set[int]] = {}
    for path in out.glob("*/*/notebook.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                for panel in output.get("data", {}).get(MIME, {}).get("panels", ()):
                    for series in panel["series"]:
                        colours.setdefault(series["name"], set()).add(series["colour"])
    assert len(colours) > 50
    assert {name: found for name, found in colours.items() if len(found) > 1} == {}


@pytest.mark.slow
def test_the_index_works_by_keyboard(browser: Any, out: Path) -> None:
    page, wrong = visit(browser, out / "index.html")
    assert page.evaluate("() => [...document.images].every((image) => image.naturalWidth > 0)")
    page.keyboard.type("rate limit")  # the field has the focus
    shown = page.locator(".cards>li:visible")
    assert shown.count() == 1
    assert "ch07" in shown.inner_text()
    assert page.locator("[aria-live]").inner_text() == f"1 of {len(BOOK)} reports"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ch07_rate_limits/**")
    assert not wrong


@pytest.mark.slow
def test_the_index_on_a_phone_and_in_the_dark(browser: Any, out: Path) -> None:
    page, wrong = visit(browser, out / "index.html", size=PHONE)
    page.emulate_media(color_scheme="dark")
    assert faults(page, wrong) == []
    assert not page.evaluate(BRIGHT)


@pytest.mark.slow
def test_one_file_opens_alone(browser: Any, out: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "one.html"
    alone.parent.mkdir()
    main(["report", "export", "ch12", str(alone), "--single-file", "--out", str(out)])
    assert [path.name for path in alone.parent.iterdir()] == ["one.html"]
    page, wrong = visit(browser, alone)
    assert page.evaluate(DRAWN)
    assert faults(page, wrong) == []


@pytest.mark.slow
def test_two_runs_side_by_side(browser: Any, out: Path, tmp_path: Path) -> None:
    run = kept.find("ch12", out)
    page, wrong = visit(browser, beside.write(run, run, tmp_path / "both.html"), size={"width": 1400, "height": 900})
    assert {name for name, _ in page.evaluate(DRAWN)} >= {"figure-Alatency", "figure-Blatency"}
    assert faults(page, wrong) == []


@pytest.mark.slow
def test_gallery_pages_show_their_pictures(browser: Any, out: Path, tmp_path: Path) -> None:
    gallery.write(kept.find("ch12", out), tmp_path / "g")
    top = root()
    assert top is not None
    pages = [tmp_path / "g" / "index.html", *sorted((top / "reports" / "gallery").glob("*/index.html"))]
    for path in pages:
        for size in (DESK, PHONE):
            page, wrong = visit(browser, path, size=size)
            assert not wrong, path
            assert page.evaluate("() => [...document.images].every((image) => image.naturalWidth > 0)"), path
            assert not page.evaluate(CUT), path
            page.close()
