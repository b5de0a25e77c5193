"""The child process: `python -m engines.fake.server CONFIG.json` serves until it is told to stop."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from engines.contract import announce, read_config
from engines.fake.api import FakeApi
from engines.fake.driver import Driver
from engines.fake.options import FakeOptions
from engines.fake.times import build
from engines.http import Connection
from workbench.errors import WorkbenchError


async def serve(config: dict[str, Any]) -> None:
    """Listen on loopback, say where, and iterate until cancelled."""
    options = FakeOptions.model_validate(config["options"])
    replica, profile_sha256 = build(options)
    driver = Driver(replica, options.clock, options.start_after)
    api = FakeApi(driver, config["model_name"], config["api_key"], profile_sha256)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(api.serve), config["host"], config["port"], backlog=1024)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        announce(f"http://{host}:{port}")
        await driver.run()


def main(config: Path) -> int:
    try:
        asyncio.run(serve(read_config(config)))
    except (WorkbenchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (this process's log)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
