"""The one redaction function: what looks like a secret becomes an id of it, everywhere text is kept."""

import hashlib
import os
import re

# a key = value pair whose key says secret, a bearer header, or the prefixes that vendors give their keys
_PAIR = re.compile(
    r"""(?ix)\b((?:[\w-]*(?:api[_-]?key|secret|passwo?r?d|token|credential))["']?\s*[=:]\s*["']?)([^\s"',;]{6,})"""
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)([\w.~+/=-]{6,})")
_VENDOR = re.compile(  # with a digit in it: words begin like this too
    r"\b(?:(?:sk-|[spr]k_|hf_|gh[pousr]_|xox[abp]-)(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{12,}|AKIA[A-Z0-9]{16})"
)
_URL_USER = re.compile(r"(?<=//)[^/@\s:]+:[^/@\s]+(?=@)")


def secret_id(secret: str) -> str:
    """How a secret is called in logs: stable, and useless to whoever reads it."""
    return "key-" + hashlib.sha256(b"inference-workbench:" + secret.encode()).hexdigest()[:8]


def redact(text: str) -> str:
    """`text` without secrets: named keys, bearer headers, vendor prefixes, URL passwords, *_API_KEY values."""
    for name, value in os.environ.items():
        if len(value) >= 8 and re.search(r"(?i)(api_?key|secret|token|password)$", name):
            text = text.replace(value, secret_id(value))
    text = _PAIR.sub(_pair, text)
    text = _BEARER.sub(lambda m: m[1] + _as_id(m[2]), text)
    text = _VENDOR.sub(lambda m: _as_id(m[0]), text)
    return _URL_USER.sub(lambda m: _as_id(m[0]), text)


def _pair(match: re.Match[str]) -> str:
    """Behind a colon stands prose as often as a secret: there it must look like one."""
    prose = match[1].rstrip(" '\"").endswith(":") and len(match[2]) < 16 and match[2].isalpha()
    count = "token" in match[1].lower() and match[2].replace(".", "").isdigit()  # max_token = 100000
    return match[0] if prose or count else match[1] + _as_id(match[2])


def _as_id(secret: str) -> str:
    """Already-redacted text stays as it is, so that redacting twice changes nothing."""
    return secret if secret.startswith("key-") else secret_id(secret)
