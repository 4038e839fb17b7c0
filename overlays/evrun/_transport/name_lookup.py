"""Looking names up in an event loop that outlives the main thread.

asyncio does it in an executor, and executors take no work once the main thread has ended.
"""

from __future__ import annotations

import socket
import traceback
from typing import Any


def look_up_without_executor(error: RuntimeError) -> bool:
    """Return whether `error` says that no name could be looked up. Then the caller tries again.

    From then on the running loop looks names up itself, and blocks meanwhile.
    """
    frames = traceback.walk_tb(error.__traceback__)
    if not any(frame.f_code.co_name == "getaddrinfo" for frame, _ in frames):
        return False
    import asyncio  # noqa: PLC0415 - as in `pool`

    loop = asyncio.get_running_loop()
    loop.getaddrinfo = _look_up  # type: ignore[method-assign]
    return True


async def _look_up(host: Any, port: Any, **hints: Any) -> Any:
    return socket.getaddrinfo(host, port, **hints)  # it blocks, because no thread can be started
