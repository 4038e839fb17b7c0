from __future__ import annotations

from typing import Any

import pytest
from uvicorn import Server

from evrun.server.api.lifecycle import Lifecycle
from evrun.server.hosting.protocol import ConnectionLimits, GuardedConfig
from evrun.server.hosting.serve import DrainingServer


@pytest.mark.anyio
@pytest.mark.parametrize(("busy", "drain", "left"), [(True, 0.0, 1), (False, 30.0, 30)])
async def test_what_cannot_finish_gets_its_time_once(
    monkeypatch: pytest.MonkeyPatch, busy: bool, drain: float, left: int
) -> None:
    """Closing goes on with what is left of the drain timeout, and does not begin anew."""
    given: list[Any] = []

    async def shutdown(self: Server, sockets: object = None) -> None:
        given.append(self.config.timeout_graceful_shutdown)

    monkeypatch.setattr(Server, "shutdown", shutdown)
    config = GuardedConfig(None, limits=ConnectionLimits(), over_limit=None, headers=[])  # type: ignore[arg-type]
    lifecycle = Lifecycle()
    server = DrainingServer(config, lifecycle, drain)
    if busy:
        server.server_state.tasks.add(object())  # type: ignore[arg-type]
    await server.shutdown()
    assert lifecycle.draining
    assert given == [left]
