"""A disk that takes writes and cannot make them durable: nobody knows what a crash would leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from _support.acknowledged import balance
from _support.c_library import preloaded
from _support.commands import new_key
from _support.load_threads import load_on
from _support.serve_process import kill_all, start, wait_for
from evrun import Evrun

if TYPE_CHECKING:
    from pathlib import Path

SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int synced(long call, int file) {
    if (access(getenv("SYNCS_FAIL"), F_OK) != 0) return syscall(call, file);
    errno = EIO;
    return -1;
}
int fsync(int file) { return synced(SYS_fsync, file); }
int fdatasync(int file) { return synced(SYS_fdatasync, file); }
"""


@pytest.mark.soak
@pytest.mark.parametrize("killed", [False, True])
def test_a_sqlite_file_that_cannot_be_synced(
    killed: bool, tmp_path: Path, free_tcp_port: int
) -> None:
    """Writes are 500 without `Retry-After`: sent again under their keys, each is there once.

    Also if the server is killed before it writes over what it could not sync, which is found then.
    """
    failing = tmp_path / "failing"
    settings = {"SYNCS_FAIL": str(failing), **preloaded(SHIM, tmp_path / "shim.so")}
    url = f"sqlite:///{tmp_path}/evals.db"
    key = new_key(tmp_path, database=url)
    base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
    server = start(tmp_path, free_tcp_port, "--database", url, **settings)
    try:
        with Evrun(api_key=key, base_url=base_url) as client:
            wait_for(client)
            load = load_on(base_url, key)
            with load.running():
                for _ in range(3):
                    load.progress()
                    failing.touch()
                    load.refused()
                    client.projects.list(size=1)
                    if killed:
                        kill_all(server)
                    failing.unlink()
                    if killed:
                        server = start(tmp_path, free_tcp_port, "--database", url, **settings)
                        wait_for(client)
                load.progress()
    finally:
        kill_all(server)
    for refusal in load.refusals:
        assert (refusal.status, refusal.retry_after) == (500, None)
        assert "Send the request again under the same Idempotency-Key" in refusal.detail
    balance(url, load)
