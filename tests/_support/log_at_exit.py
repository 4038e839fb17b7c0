"""Log after the end of the main thread, in every way that there is: started by `test_processes`.

Arguments: the phases, the address of a server, its key, the path of its database, a run and a
datapoint of it. Each log's output names its way.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
import time
from typing import Any

import httpx

from evrun import AsyncEvrun, Evrun

phases, base_url, key, path, run_id, datapoint_id = sys.argv[1:]


def client(cls: type[Any], over: str) -> Any:
    """Return a client that nothing was sent with."""
    settings = {"api_key": key, "base_url": base_url}
    if over == "local":
        return cls.local(path)
    if over == "http_client":
        awaited = cls is AsyncEvrun
        return cls(**settings, http_client=httpx.AsyncClient() if awaited else httpx.Client())
    return cls(**settings, transport=None if over == "httpx" else "fast")


def logs(name: str) -> list[dict[str, Any]]:
    """Return two logs for `log_many`."""
    return [{"datapoint_id": datapoint_id, "log": {"output": f"{name} {n}"}} for n in "ab"]


def log(over: str, first: Evrun, phase: str) -> None:
    """Log with a client that was made in time, and with ones that are made now."""
    first.run(run_id).log(datapoint_id, log={"output": f"{phase} {over} first"})
    view = client(Evrun, over).with_options(deadline=20)
    view.run(run_id).log(datapoint_id, log={"output": f"{phase} {over} deadline"})
    view.run(run_id).log_many(logs(f"{phase} {over} many"))

    async def main() -> None:
        async with client(AsyncEvrun, over) as awaited:
            run = awaited.with_options(deadline=20).run(run_id)
            await run.log(datapoint_id, log={"output": f"{phase} {over} awaited"})
            await run.log_many(logs(f"{phase} {over} awaited many"))

    asyncio.run(main())


def log_all(phase: str) -> None:
    """Log over everything."""
    for over, first in FIRST.items():
        log(over, first, phase)


def in_a_thread() -> None:
    """Log when there is no main thread any more."""
    threading.main_thread().join()
    log_all("thread")


def in_an_executor() -> None:
    """Log when Python waits for its executors, which take no more work."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - others must do without

    def work() -> None:
        another = ThreadPoolExecutor(1)
        try:
            while True:
                another.submit(time.sleep, 0.01).result()
        except RuntimeError:
            log_all("executor")

    ThreadPoolExecutor(1).submit(work).add_done_callback(lambda done: done.result())


if "exit" in phases:
    atexit.register(log_all, "exit")  # it runs after what the clients register
FIRST = {over: client(Evrun, over) for over in ("httpx", "fast", "http_client", "local")}
if "thread" in phases:
    threading.Thread(target=in_a_thread).start()
if "executor" in phases:
    in_an_executor()
