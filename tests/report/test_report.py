"""One real run of the capacity notebook on recorded inputs with hostile names; its page, its numbers, its files."""

import json
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.cli.main import main
from workbench.errors import UsageError
from workbench.report import arguments, gallery, index, library, runner
from workbench.report.export import source_hash
from workbench.report.style import DRAW

RECORDED = Path(__file__).parent / "fixtures" / "demo"
EVIL = "<script>alert(1)</script> [x](javascript:alert(2)) ![y](http://evil.example/y.png) \x1b[31m$x"


def hostile_inputs(folder: Path) -> Path:
    """The recorded results folder, every name in it replaced by something nasty."""
    for path in sorted(RECORDED.rglob("*.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        for item in value.get("items", ()):
            item["subject"]["quant"] = item["verdict"] = EVIL
        for item in value.get("candidates", ()):
            item["name"] = item["machine"]["name"] = item["machine"]["source"] = EVIL
            item["why_not"] = EVIL
        if value["kind"] == "workbench.plan":
            value["answer"] = value["choice"]["name"] = value["api"]["name"] = value["caveat"] = EVIL
        if value["kind"] == "workbench.profile":
            value["subject"]["quant"] = value["subject"]["hardware"] = EVIL
        target = folder / path.relative_to(RECORDED)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(value), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runner.ReportRun:
    folder = tmp_path_factory.mktemp("report")
    return runner.run("capacity", {}, inputs=hostile_inputs(folder / "in"), out=folder / "reports", fast=True)


@pytest.fixture(scope="module")
def page(run: runner.ReportRun) -> str:
    return run.html.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element of a page with its attributes; what scripts hold apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_script = tag == "script" and dict(attrs).get("type") != "application/json"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)
            self._in_script = False


def test_the_run_has_its_parts_under_its_final_name(run: runner.ReportRun) -> None:
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", run.run_id)
    assert run.folder.parent.name == "capacity"
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"notebook.ipynb", "report.html", "figures", "inputs", "thumbnail.png"} | {
        f"{name}.json" for name in ("params", "results", "provenance")}
    assert {path.stem for path in (run.folder / "figures").iterdir()} == {
        "validation", "speed", "capacity", "cost", "gpus"}
    assert not [path for path in run.folder.parent.iterdir() if path.name.startswith(".")]
    assert json.loads((run.folder / "params.json").read_text()) == {"inputs": "inputs"}


def test_provenance_says_how_it_came_about_and_names_no_path(run: runner.ReportRun) -> None:
    about = json.loads((run.folder / "provenance.json").read_text())
    assert (about["kind"], about["schema"], about["status"], about["error"]) == ("workbench.report", 1, "ok", None)
    assert set(about["inputs"]) == {"plan.json", "validation.json", "gpus.json", "Q4_0/profile.json"}
    written = "".join(path.read_text(encoding="utf-8") for path in run.folder.glob("*.json"))
    assert str(run.folder.parent.parent) not in written + (run.folder / "notebook.ipynb").read_text(encoding="utf-8")


def test_results_have_one_shape(run: runner.ReportRun) -> None:
    found = json.loads((run.folder / "results.json").read_text())
    assert found == run.results
    for item in found:
        assert set(item) == {"name", "value", "unit", "origin", "n", "low", "high"}
        assert item["origin"] in {"measured", "simulated", "imported", "vendor", "roofline", "derived"}
    by_name: dict[str, Any] = {item["name"]: item for item in found}
    recorded = json.loads((RECORDED / "validation.json").read_text())["items"][0]["metrics"]["e2e_s"]["mean"]
    assert by_name["e2e_mean_error_frac"]["value"] == recorded["rel_error_frac"]
    assert by_name["e2e_mean_measured_s"]["low"] < by_name["e2e_mean_measured_s"]["value"]
    assert by_name["chosen_replicas"]["value"] == 2


def test_the_page_loads_nothing_and_allows_only_its_own_scripts(page: str) -> None:
    elements = Elements(page)
    for tag, attributes in elements.found:
        for key in ("src", "href", "action", "data", "srcset", "poster"):
            value = attributes.get(key) or ""
            assert not value or value.startswith(("data:image/svg+xml;base64,", "#")), (tag, key, value[:80])
        assert not any(name.startswith("on") for name in attributes)
    policy = next(a["content"] for t, a in elements.found if t == "meta" and a.get("http-equiv")) or ""
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert len(elements.scripts) == 2
    for script in elements.scripts:
        assert source_hash(script) in policy
    assert elements.scripts[1] == DRAW


def test_names_from_the_data_stay_text(page: str) -> None:
    elements = Elements(page)
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert not [a for t, a in elements.found if t in {"a", "img"} and "evil" in str(a)]
    assert "&lt;script&gt;alert(1)" in page  # shown, not swallowed


def test_the_answer_stands_first_and_captions_say_the_origin(page: str) -> None:
    assert page.index('<aside class="answer">') < page.index("<h2>")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert len(captions) == 5
    assert all(("Origin: " in caption and "n = " in caption) or "source" in caption for caption in captions)


def test_the_index_lists_the_run(run: runner.ReportRun) -> None:
    out = run.folder.parent.parent
    assert [item["status"] for item in index.runs(out)] == ["ok"]
    assert f'href="capacity/{run.run_id}/report.html"' in (out / "index.html").read_text()


def test_the_gallery_example_is_small_and_harmless(run: runner.ReportRun, tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    size_bytes = gallery.write(run.folder, out)
    assert size_bytes == sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 1_000_000
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "](javascript" not in text
    assert "](http" not in text
    for name in re.findall(r"\]\((figures/\w+\.svg)\)", text):
        assert (out / name).read_bytes().startswith(b"<?xml")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.index("<h1>") < page.index("The answer, from the end of this page") < page.index("<h2>")
    assert page.count('<div class="wide') >= page.count("<img") + page.count("<table") - 1  # the footer's breaks lines
    assert gallery.write(run.folder, out) == size_bytes  # replaced, not added to
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is no gallery example"):
        gallery.write(run.folder, tmp_path / "mine")


def test_the_commands(run: runner.ReportRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.folder.parent.parent
    main(["report", "list", "--out", str(out), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"name": "capacity", "parameters": ["inputs"]} in found["notebooks"]
    assert [item["run_id"] for item in found["runs"]] == [run.run_id]
    main(["report", "list", "--out", str(out)])
    assert run.run_id in capsys.readouterr().out
    main(["report", "gallery", str(run.folder), "--out", str(tmp_path / "g"), "--json"])
    assert json.loads(capsys.readouterr().out)["size_bytes"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["capacity", "--param", "input=x"], "input: unknown parameter; did you mean 'inputs'?"),
        (["capacty"], "no notebook called 'capacty'; did you mean 'capacity'?"),
        (["../capacity"], "no notebook called"),
        (["capacity", "--param", "inputs"], "write it as KEY=VALUE"),
        (["capacity", "--param", "inputs=a", "--param", "inputs=b"], "given twice"),
        (["capacity", "--inputs", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_wrong_request_writes_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", "run", *words, "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_inputs_are_plain_small_json_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no \.json file"):
        runner.run("capacity", {}, inputs=tmp_path, out=tmp_path / "out")
    (tmp_path / "a.json").symlink_to(RECORDED / "plan.json")
    with pytest.raises(UsageError, match=r"a\.json: links"):
        runner.run("capacity", {}, inputs=tmp_path, out=tmp_path / "out")


KNOWN = {"n": {"inferred_type_name": "int"}, "x": {"inferred_type_name": "float"}, "on": {"inferred_type_name": "bool"},
         "name": {"inferred_type_name": "str"}, "free": {"inferred_type_name": "None"}}


def test_parameters_are_read_as_their_type() -> None:
    given = {"n": "3", "x": "2", "on": "True", "name": "3", "free": "[1, 2]"}
    assert arguments.checked("c", KNOWN, given) == {"n": 3, "x": 2.0, "on": True, "name": "3", "free": [1, 2]}


@pytest.mark.parametrize(
    ("key", "value"), [("n", "2.5"), ("n", "many"), ("n", True), ("x", "fast"), ("on", "1"), ("name", 3)]
)
def test_a_mistyped_parameter_is_refused(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{key}: .* is no"):
        arguments.checked("c", KNOWN, {key: value})


def test_cell_ids_are_derived(tmp_path: Path) -> None:
    first, second = (library.build(library.source("capacity")) for _ in range(2))
    assert [cell.id for cell in first.cells] == [cell.id for cell in second.cells]
    assert len({cell.id for cell in first.cells}) == len(first.cells)


def test_the_notebook_is_thin() -> None:
    text = library.source("capacity").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(def|class|for|while|if)\b", text, re.MULTILINE)


@pytest.mark.slow
def test_a_failed_run_is_kept_and_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "plan.json").write_text('{"kind": "workbench.plan", "schema": 99}')
    with pytest.raises(SystemExit) as caught:
        main(["report", "run", "capacity", "--inputs", str(folder), "--out", str(tmp_path / "out")])
    assert caught.value.code == 2  # the file is what the user gave
    assert "schema 99" in capsys.readouterr().err
    (kept,) = (tmp_path / "out" / "capacity").iterdir()
    assert kept.name.endswith("-failed")
    assert json.loads((kept / "provenance.json").read_text())["status"] == "failed"
    assert "schema 99" in (kept / "notebook.ipynb").read_text()
    assert [item["status"] for item in index.runs(tmp_path / "out")] == ["failed"]


def is_kernel(process: psutil.Process) -> bool:
    try:
        return any("ipykernel" in word for word in process.cmdline())
    except psutil.Error:  # it has ended
        return False


@pytest.mark.slow
def test_an_interrupted_run_is_kept_and_marked(tmp_path: Path) -> None:
    """Ctrl-C while cells run: exit code 130, the run is kept, no kernel is left behind."""
    words = ["report", "run", "capacity", "--inputs", str(RECORDED), "--out", str(tmp_path / "out")]
    code = "import sys; from workbench.cli.main import main; main(sys.argv[1:])"
    child = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True)
    kernels: list[psutil.Process] = []
    while child.poll() is None and not kernels:
        kernels = [item for item in psutil.Process(child.pid).children() if is_kernel(item)]
    child.send_signal(signal.SIGINT)
    _, shown = child.communicate(timeout=60)
    assert child.returncode == 130, shown
    assert "Traceback" not in shown
    (kept,) = (tmp_path / "out" / "capacity").iterdir()
    assert kept.name.endswith("-failed")
    assert "KeyboardInterrupt" in json.loads((kept / "provenance.json").read_text())["error"]
    _, alive = psutil.wait_procs(kernels, timeout=20)
    assert not alive
