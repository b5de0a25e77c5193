"""Where an endpoint is and how to be let in."""

import os
import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from workbench.config import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class OpenAiOptions(Settings):
    """An endpoint; the key is given by the name of an environment variable, or by code."""

    url: str = Field(description="for example http://127.0.0.1:8000, with or without /v1")
    model: str | None = Field(None, description="model name; may be left out where the endpoint serves one only")
    api_key_env: str | None = Field(None, description="environment variable that holds the key")
    api_key: SecretStr | None = Field(None, description="the key itself; never in a file")
    allow_plain_http: bool = Field(False, description="send the key unencrypted off this machine")

    @field_validator("url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http(s) URL; for example http://127.0.0.1:8000")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("no user, query or fragment in it; give the key by api_key_env")
        return re.sub(r"/v1/?$|/+$", "", value)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.api_key_env is not None and self.api_key_env not in os.environ:
            raise ValueError(f"environment variable {self.api_key_env} is not set; export it first")
        plain = self.url.startswith("http:") and urlsplit(self.url).hostname not in LOOPBACK
        if plain and self.key() and not self.allow_plain_http:
            raise ValueError("a key over plain http would be readable on the way; use https or allow_plain_http")
        return self

    def key(self) -> str | None:
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        return os.environ.get(self.api_key_env) if self.api_key_env else None
