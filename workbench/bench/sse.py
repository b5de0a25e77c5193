"""Server-sent events from bytes in any cut: the payloads come out the same wherever a read ended."""

LINE_LIMIT_BYTES = 1 << 20  # an event line longer than this is no chunk of an answer
_BOM = b"\xef\xbb\xbf"


class LineTooLong(ValueError):
    """A line outgrew the limit: the stream is not what it says it is."""


class SseParser:
    """`feed` bytes, get the `data` payloads of the events they completed (WHATWG HTML, 9.2.6).

    Comments (pings) and other fields are dropped; an event cut off by the end of the stream never comes out.
    """

    __slots__ = ("_cr", "_data", "_start", "_tail")

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []
        self._cr = False  # the last read ended in CR: a LF that follows belongs to it
        self._start = True

    def feed(self, data: bytes) -> list[bytes]:
        if self._cr and data:
            self._cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        if len(self._tail) > LINE_LIMIT_BYTES:
            raise LineTooLong(f"an event line of more than {LINE_LIMIT_BYTES} bytes")
        if not lines:
            return []
        if self._start:
            self._start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return self._events(lines)

    @property
    def between(self) -> bool:
        """Whether the next byte begins an event."""
        return not (self._tail or self._data or self._cr or self._start)

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data.clear()
        return events


def one_event(data: bytes) -> bytes | None:
    """The payload, where these bytes are one whole HTTP chunk that holds one whole `data:` event and nothing else.

    Most reads of a stream are: then neither parser is needed, which halves what a token costs.
    """
    if not data.endswith(b"\n\n\r\n"):
        return None
    cut = data.find(b"\r\n", 0, 12)
    if data[cut + 2 : cut + 8] != b"data: " or data.count(b"\n") != 4 or data.count(b"\r") != 2:
        return None
    try:
        size = int(data[:cut], 16)
    except ValueError:
        return None
    return data[cut + 8 : -4] if size == len(data) - cut - 4 else None
