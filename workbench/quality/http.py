"""Questions over HTTP: one connection kept open, and every way in which an answer fails told in one line."""

import json
from types import TracebackType
from typing import Any, Self

import httpx

from workbench.quality.asking import AskFailed, EngineLost
from workbench.redact import redact
from workbench.text import one_line


class Http:
    """A server of one model. No redirects, no proxies; used by one thread."""

    def __init__(self, url: str, api_key: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_s = timeout_s
        self._client = httpx.Client(headers=headers, timeout=timeout_s, trust_env=False)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Parsed JSON of the answer. Raises AskFailed, or EngineLost where nobody listens any more."""
        try:
            answer = self._client.post(self.url + path, json=body)
        except httpx.TimeoutException:
            raise AskFailed(f"{path}: no answer within {self._timeout_s:g} s") from None
        except httpx.ConnectError as error:
            raise EngineLost(f"{self.url}: does not answer any more: {one_line(str(error))}") from None
        except httpx.HTTPError as error:
            raise AskFailed(f"{path}: {type(error).__name__}: {one_line(str(error))}") from None
        if answer.status_code != 200:
            raise AskFailed(f"{path}: HTTP {answer.status_code}: {_said(answer)}")
        try:
            return answer.json()
        except ValueError:
            raise AskFailed(f"{path}: the answer is not JSON: {_said(answer)}") from None

    def get(self, path: str) -> Any:
        """Parsed JSON, or None where it is not offered."""
        try:
            answer = self._client.get(self.url + path)
            return answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _said(answer: httpx.Response) -> str:
    """The server's message, short and on one line."""
    text = answer.text
    try:
        found = json.loads(text)
        told = found.get("error", found) if isinstance(found, dict) else found
        text = str(told.get("message", told) if isinstance(told, dict) else told)
    except ValueError:
        pass
    return one_line(redact(text[:300]).strip()) or "no message"
