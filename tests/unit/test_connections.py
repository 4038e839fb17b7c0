"""How long a client may take over an answer: the protocol over a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from uvicorn.server import ServerState

from evrun.server.hosting import protocol
from evrun.server.hosting.protocol import ConnectionLimits, GuardedConfig, GuardedProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT = 1.0
ANSWER = 256 * 1024
STEP = 0.03


async def answering(_: Any, __: Any, send: Any) -> None:
    """Answer with more than the sockets hold."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(ANSWER)})


@asynccontextmanager
async def connected() -> AsyncIterator[socket.socket]:
    """Yield a client's end, with so little in between that what it takes shows at once."""
    limits = ConnectionLimits(write_timeout=TIMEOUT)
    config = GuardedConfig(answering, limits=limits, over_limit=answering, headers=[])
    config.load()
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least there is
        ours.settimeout(0)
        transport, _ = await loop.connect_accepted_socket(
            lambda: GuardedProtocol(config, ServerState(), {}), theirs
        )
        yield ours
        if not transport.is_closing():
            transport.abort()
        await asyncio.sleep(0)  # the connection is told


async def taken(client: socket.socket) -> int:
    """Take a little all the time; return how many bytes came."""
    loop = asyncio.get_running_loop()
    length = 0
    while length < ANSWER and (chunk := await loop.sock_recv(client, 4096)):
        length += len(chunk)
        await asyncio.sleep(STEP)
    return length


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("floor", "connection", "whole"),
    [(1_000_000, "keep-alive", False), (1_000, "close", True)],
)
async def test_an_answer_has_to_be_taken_at_a_rate(
    monkeypatch: pytest.MonkeyPatch, floor: int, connection: str, whole: bool
) -> None:
    """A little all the time does not do; at the rate, it may take longer than the timeout."""
    monkeypatch.setattr(protocol, "MIN_BYTES_PER_SECOND", floor)
    async with connected() as client, asyncio.timeout(60):
        loop = asyncio.get_running_loop()
        head = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n"
        await loop.sock_sendall(client, head.encode())
        begun = loop.time()
        assert (await taken(client) >= ANSWER) is whole
        assert loop.time() - begun > TIMEOUT
