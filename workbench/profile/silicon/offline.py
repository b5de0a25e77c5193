"""Call the database's package without letting it out, and keep what it says about itself."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any, NoReturn


class OutsideCallError(OSError):
    """The package tried to reach the network."""


def _refuse(*_arguments: Any, **_named: Any) -> NoReturn:
    raise OutsideCallError("the kernel database may not ask a hub")


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """No name is resolved and no socket connects in this process meanwhile; both raise OutsideCallError."""
    before, resolve, offline = socket.socket.connect, socket.getaddrinfo, os.environ.get("HF_HUB_OFFLINE")
    socket.socket.connect = _refuse  # type: ignore[method-assign]
    socket.getaddrinfo = _refuse
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        socket.socket.connect = before  # type: ignore[method-assign]
        socket.getaddrinfo = resolve
        if offline is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = offline


class Kept(logging.Handler):
    """Warnings of the package, in place of printing them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def kept_warnings(package: str) -> Iterator[list[str]]:
    """What the package's loggers warn about meanwhile; nothing of it is printed."""
    logger, kept = logging.getLogger(package), Kept()
    propagate = logger.propagate
    logger.addHandler(kept)
    logger.propagate = False
    try:
        yield kept.messages
    finally:
        logger.removeHandler(kept)
        logger.propagate = propagate
