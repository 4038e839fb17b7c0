"""The client over real sockets and either transport: time limits, proxies, broken connections."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import pytest

from _support.fake_api import KEY
from evrun import ConnectError, DisconnectedError, Evrun, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Transport = Literal["fast"] | None

ANSWER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n" + b'{"detail":"Nobody"}'


@contextmanager
def listening(handle: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Listen on loopback; `handle` gets each connection and the request that was read from it."""
    received: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                data = connection.recv(65536)
                received.append(data)
                handle(connection, data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", received
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.fixture(params=[None, "fast"], ids=["httpx", "fast"])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


def test_nobody_listening_is_a_connect_error(transport: Transport) -> None:
    """A closed port is an error that says that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        Evrun(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v4", transport=transport) as client,
        pytest.raises(ConnectError, match="Nothing was sent"),
    ):
        client.projects.get("pr_1")


def test_a_silent_server_is_left_after_the_time_limit(transport: Transport) -> None:
    """No call waits for ever: the read limit ends it, and the request was sent once."""
    done = threading.Event()

    def wait(_connection: socket.socket, _data: bytes) -> None:
        done.wait(5)

    with (
        listening(wait) as (url, received),
        Evrun(api_key=KEY, base_url=f"{url}/v4", transport=transport, timeout=0.2) as client,
    ):
        with pytest.raises(RequestTimeoutError, match="no answer within 0.2 s"):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})
        done.set()
    assert len(received) == 1


def test_a_connection_that_breaks_is_an_error_without_a_second_try(transport: Transport) -> None:
    """A dropped answer to a POST raises; the request reached the server once."""
    with (
        listening(lambda _connection, _data: None) as (url, received),
        Evrun(api_key=KEY, base_url=f"{url}/v4", transport=transport) as client,
        pytest.raises(DisconnectedError, match="look before you send it again"),
    ):
        client.evaluations.log("evrun_1", datapoint_id="1", log={})
    assert len(received) == 1


def test_the_proxy_of_the_environment_is_used(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our transport does not switch off httpx's own proxy handling."""
    with listening(lambda connection, _data: connection.sendall(ANSWER)) as (url, received):
        monkeypatch.setenv("HTTP_PROXY", url)
        with (
            Evrun(api_key=KEY, base_url="http://evrun.invalid/v4", transport=transport) as client,
            pytest.raises(Exception, match="Nobody"),
        ):
            client.projects.get("pr_1")
    assert received[0].startswith(b"GET http://evrun.invalid/v4/projects/pr_1 HTTP/1.1")
