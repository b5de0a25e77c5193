"""Engine logs are shown without escapes, secrets and blank lines."""

from pathlib import Path

from engines import logs


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
