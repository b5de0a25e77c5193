"""Where the load goes: one OpenAI-compatible endpoint, checked before anything is sent to it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from workbench.errors import UsageError

Api = Literal["completions", "chat"]
PATHS: Mapping[Api, str] = {"completions": "/completions", "chat": "/chat/completions"}
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL taken apart: what to connect to and what to ask for."""

    host: str
    port: int
    tls: bool
    path: str

    @property
    def loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint, the model to ask for, and how long to wait. The key never appears in a repr.

    `url` may end in /v1, in the full path, or in neither. In `extra_body` a null removes a key that would be sent.
    """

    url: str
    model: str
    api: Api = "completions"
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 600.0  # from the send to the end of the answer
    first_byte_timeout_s: float | None = None  # None: only timeout_s counts
    connect_timeout_s: float = 10.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    ignore_eos: bool = False  # ask the server to go on to max_tokens (llama.cpp, vLLM, SGLang)
    allow_plain_http: bool = False  # send a key over http to another machine

    def __post_init__(self) -> None:
        place = self.endpoint
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise UsageError("the API key holds characters that no HTTP header may carry; check the variable it is in")
        if self.api_key and not place.tls and not place.loopback and not self.allow_plain_http:
            raise UsageError(
                f"{self.url}: an API key would cross the network unencrypted; use https or --allow-plain-http"
            )
        for name in ("timeout_s", "connect_timeout_s", "first_byte_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name}: {value}: must be above 0")

    @property
    def endpoint(self) -> Endpoint:
        return parse_url(self.url, self.api)


def parse_url(url: str, api: Api) -> Endpoint:
    """Raises UsageError naming what is wrong with the URL."""
    if api not in PATHS:
        raise UsageError(f"api: {api!r}: must be one of {', '.join(PATHS)}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"url: {url!r}: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise UsageError(f"url: {url!r}: must look like http://127.0.0.1:8080")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("url: must hold no user, password, query or fragment; keys come from the environment")
    base = parts.path.rstrip("/")
    for path in sorted(PATHS.values(), key=len, reverse=True):
        base = base.removesuffix(path)
    if not re.search(r"/v\d+\w*$", base):
        base += "/v1"
    tls = parts.scheme == "https"
    if port == 0:
        raise UsageError(f"url: {url!r}: port 0 is no port to connect to")
    return Endpoint(parts.hostname, port or (443 if tls else 80), tls, quote(base + PATHS[api], safe="/%"))
