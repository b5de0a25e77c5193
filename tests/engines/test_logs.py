"""Engine logs are shown without escapes, secrets and blank lines."""

from pathlib import Path

from engines import logs
from workbench.prometheus_text import sum_samples


def test_tail_is_safe_to_show(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    colours = b"\x1b[31mred\x1b[0m \x1b]0;title\x07end\n"
    log.write_bytes(b"first\n\n" + colours + b"api_key=abcdefghij\n\xff\xfe bytes\n" + b"x" * 1000)
    shown = logs.tail(log, 10)
    assert shown[:2] == ["first", "red end"]
    assert "abcdefghij" not in shown[2]
    assert len(shown[-1]) == logs.LINE_CHARS
    assert not any("\x1b" in line for line in shown)


def test_no_log_is_no_words(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "none", 3) == []
    assert logs.read(tmp_path / "none") == ""


def test_metrics_are_summed_over_their_labels() -> None:
    text = """# HELP a:total help
# TYPE a:total counter
a:total{engine="0"} 3
a:total{engine="1",more="}"} 4.5
gauge 2e3 1700000000
odd NaN
"""
    found = sum_samples(text)
    assert found == {"a:total": 7.5, "gauge": 2000}
