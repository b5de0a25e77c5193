"""Text from models, users and logs, made harmless for HTML, Markdown and figure labels."""

import html as _html
import re

# terminal escapes (OSC, CSI, two-byte) and control characters, line breaks kept
_CONTROL = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CODE = re.compile(r"`([^`]+)`")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$])")


def plain(text: str) -> str:
    """Without terminal escapes and control characters."""
    return _CONTROL.sub("", text)


def html(text: str) -> str:
    return _html.escape(plain(text), quote=True)


def prose(text: str) -> str:
    """HTML in which what stands between backticks is code: captions and cells name commands and parameters."""
    return _CODE.sub(r"<code>\1</code>", html(text))


def markdown(text: str) -> str:
    """One line of Markdown that shows exactly this text: no markup, no HTML, no maths."""
    return _MARKDOWN.sub(r"\\\1", _html.escape(" ".join(plain(text).split()), quote=False))


def label(text: str) -> str:
    """For plotly, whose labels read a little HTML."""
    return _html.escape(" ".join(plain(text).split()), quote=False)


def mathless(text: str) -> str:
    """For matplotlib, whose labels read $...$ as maths."""
    return " ".join(plain(text).split()).replace("$", r"\$")
