"""`transport="fast"`: what it must not do, and what only it has to be told."""

from __future__ import annotations

import asyncio
import pickle
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import trustme
from attrs import evolve

from _support import misbehaving_server as bad
from _support.fake_api import BASE_URL, KEY
from _support.loopback_server import Loopback, running
from _support.misbehaving_server import good, misbehaving
from evrun import AsyncEvrun, ConfigurationError, Evrun, InvalidRequestError
from evrun._transport.pyreqwest.clients import Clients, TimeLimits
from evrun.errors import AmbiguousDisconnectError, ConnectError, RequestTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

    from _support.misbehaving_server import Wire

FAST: dict[str, Any] = {"api_key": KEY, "transport": "fast"}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# Settings.


def test_without_pyreqwest_the_error_says_what_to_install() -> None:
    """The extra is named when the client is made, not at its first request."""
    done = run(
        "import sys; sys.modules['pyreqwest'] = None\n"
        "from evrun import Evrun, AsyncEvrun, ConfigurationError\n"
        f"Evrun(api_key={KEY!r}, base_url={BASE_URL!r})\n"
        "for client in (Evrun, AsyncEvrun):\n"
        "    try:\n"
        f"        client(api_key={KEY!r}, base_url={BASE_URL!r}, transport='fast')\n"
        "    except ConfigurationError as error:\n"
        "        print(error)\n"
    )
    says = "transport=\"fast\" needs pyreqwest. Install it with: pip install 'evrun[fast]'\n"
    assert (done.stdout, done.returncode) == (says * 2, 0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"verify": ssl.create_default_context()},
            'verify=<SSLContext> cannot be carried over to transport="fast". Pass verify=<path of '
            'the certificates> and cert=…, or leave transport="fast" out.',
        ),
        (
            {"proxy": httpx.Proxy("https://p", ssl_context=ssl.create_default_context())},
            'proxy=<Proxy with an ssl_context> cannot be carried over to transport="fast". Leave '
            "one of them out.",
        ),
        (
            {"transport": "slow"},
            "transport='slow': expected \"fast\" or a transport of httpx.",
        ),
        (
            {"proxy": "ftp://p"},
            "proxy='ftp://p' is not the address of a proxy. Expected one such as http://host:3128 "
            "or socks5://host:1080. Its scheme 'ftp' is not one of http, https, socks5, socks5h.",
        ),
    ],
)
@pytest.mark.parametrize("kind", [Evrun, AsyncEvrun])
def test_a_setting_that_would_be_dropped_is_refused(
    kind: type[Evrun | AsyncEvrun], settings: dict[str, Any], says: str
) -> None:
    """What pyreqwest does not have is an error when the client is made."""
    with pytest.raises(ConfigurationError) as caught:
        kind(**{**FAST, "base_url": BASE_URL, **settings})
    assert str(caught.value) == says


# TimeLimits of time.


def limits(time_left: float | None = None, **timeout: float | None) -> TimeLimits:
    request = httpx.Request("GET", "http://x", extensions={"timeout": timeout})
    over = None if time_left is None else time.monotonic() + time_left
    return evolve(TimeLimits.of(request, over), end=None)


@pytest.mark.parametrize(
    ("timeout", "time_left", "expected"),
    [
        # The usual ones.
        ({"connect": 5, "read": 60}, None, (5, 60)),
        # The limit to connect passes first, because only it knows that nothing was sent.
        ({"connect": 0.2, "read": 0.2}, None, (0.2, 0.25)),
        ({"connect": 5, "read": 1}, None, (5, 5.05)),
        # None is none.
        ({"connect": None, "read": None}, None, (None, None)),
        ({"connect": 5, "read": None}, None, (5, None)),
        ({"connect": float("inf"), "read": float("inf")}, None, (None, None)),
        # A deadline ends the whole; it cuts the limits of the client to few different ones.
        ({"connect": 5, "read": 30.25}, 30.25, (5, None)),
        ({"connect": 3.1, "read": 3.1}, 3.1, (1, None)),
        ({"connect": 0.4, "read": 0.4}, 0.4, (0.125, None)),
        ({"connect": 0.1, "read": 0.3}, 0.4, (0.1, 0.3)),
        ({"connect": None, "read": None}, 9, (4, None)),
        ({"connect": 5, "read": 60}, -1, (2**-11, None)),
    ],
)
def test_limits_of_httpx_become_limits_of_pyreqwest(
    timeout: dict[str, float | None], time_left: float | None, expected: tuple[float | None, ...]
) -> None:
    """Connect and read, in seconds, and in the order in which they must pass."""
    got = limits(time_left, **timeout)
    assert (got.connect, got.read) == pytest.approx(expected)


def test_only_the_last_used_clients_are_kept() -> None:
    """A caller who never names the same limit twice does not fill the memory."""
    made: list[tuple[float | None, float | None]] = []

    def make(connect: float | None, read: float | None) -> int:
        made.append((connect, read))
        return len(made)

    clients = Clients(make)
    usual = limits(connect=5, read=60)
    for number in range(100):
        clients.get(usual)
        clients.get(limits(connect=1, read=100.0 + number))
    assert clients.get(usual) == 1
    assert len(made) == 101
    assert len(clients.pop_all()) == 16


def test_deadlines_share_connections() -> None:
    """Each call leaves another rest to its deadline; that is no reason for new connections."""
    with misbehaving(good()) as server, Evrun(**FAST, base_url=server.base_url) as client:
        for number in range(20):
            client.with_options(deadline=20 + number / 7).projects.list()
        assert len(server.received) == 20
        assert server.connections == 1


# Where it differs from httpx, and says so in `Evrun`.


def test_a_head_must_be_whole_within_the_limit() -> None:
    """Httpx limits each read; pyreqwest the whole head, however its bytes drip."""

    def dripping(wire: Wire) -> None:
        status, body = bad.usual(wire.method)
        data = bad.head(status, length=len(body))
        wire.send(*(data[at : at + 20] for at in range(0, len(data), 20)), every=0.12)
        wire.send(body)

    settings: dict[str, Any] = {"api_key": KEY, "timeout": 0.3, "max_retries": 0}
    with misbehaving(dripping) as server:
        with Evrun(**settings, base_url=server.base_url) as client:
            assert client.projects.list().total == 0
        with (
            Evrun(**settings, base_url=server.base_url, transport="fast") as client,
            pytest.raises(RequestTimeoutError),
        ):
            client.projects.list()


def test_the_systems_certificates_are_trusted_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Httpx trusts those alone that `verify` names; pyreqwest the system's too."""
    system, named = trustme.CA(), trustme.CA()
    system.cert_pem.write_to_path(str(tmp_path / "system.pem"))
    named.cert_pem.write_to_path(str(tmp_path / "named.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    system.issue_cert("127.0.0.1").configure_cert(context)
    settings: dict[str, Any] = {"api_key": KEY, "verify": str(tmp_path / "named.pem")}
    with running(Loopback(context=context)) as server:
        with (
            Evrun(**settings, base_url=server.base_url) as client,
            pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.projects.list()
        with Evrun(**settings, base_url=server.base_url, transport="fast") as client:
            assert client.projects.list().total == 0


# Processes, loops and threads.


def test_a_client_travels() -> None:
    """Pickled, a client keeps its transport and opens connections of its own."""
    with misbehaving(good()) as server, Evrun(**FAST, base_url=server.base_url) as client:
        client.projects.list()
        with pickle.loads(pickle.dumps(client)) as other:  # noqa: S301 - made here
            other.projects.list()
            assert other._pool.settings.transport == "fast"
        client.projects.list()
        assert [each.connection for each in server.received] == [1, 2, 1]


FORK = """
import os, sys
from evrun import ConfigurationError, Evrun
client = Evrun(api_key={key!r}, base_url=sys.argv[1], transport="fast")
if sys.argv[2] == "used":
    client.projects.list()
child = os.fork()
try:
    said = client.projects.list().total
except ConfigurationError as error:
    said = error
os.write(1, f"{{said}}\\n".encode())  # at once: both write
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_fork_before_the_first_request_is_fine() -> None:
    """Nothing runs before the first request, so nothing is lost by a fork."""
    with misbehaving(good()) as server:
        done = run(FORK.format(key=KEY), server.base_url, "unused")
        assert (done.stdout, done.returncode) == ("0\n0\n", 0)
        assert {each.connection for each in server.received} == {1, 2}


def test_a_fork_after_the_first_request_is_an_error_in_the_child() -> None:
    """Pyreqwest's threads stay in the parent: the child says so instead of hanging."""
    with misbehaving(good()) as server:
        done = run(FORK.format(key=KEY), server.base_url, "used")
    assert sorted(done.stdout.splitlines()) == [
        "0",
        'transport="fast" does not work in a forked process if it was used before the fork. '
        'Start processes with multiprocessing\'s "spawn", or leave transport="fast" out.',
    ]


def test_each_loop_has_its_connections() -> None:
    """A client outlives `asyncio.run`, and keeps connections within one."""
    with misbehaving(good()) as server:
        client = AsyncEvrun(**FAST, base_url=server.base_url)

        async def main() -> None:
            await client.projects.list()
            await client.projects.list()

        asyncio.run(main())
        asyncio.run(main())
        assert [each.connection for each in server.received] == [1, 1, 2, 2]


def test_other_loops_are_told() -> None:
    """Pyreqwest awaits asyncio's futures; under trio the error says so, and nothing is left."""

    async def main() -> None:
        async with AsyncEvrun(**FAST, base_url="http://127.0.0.1:9/v4") as client:
            await client.projects.list()

    with pytest.raises(ConfigurationError) as caught:
        trio.run(main)
    assert str(caught.value) == (
        'transport="fast" runs on asyncio only. Leave it out on other event loops.'
    )


def test_a_cancelled_call_gives_its_connection_back() -> None:
    """Cancelled while it waits or reads, a call leaves the server, and room for the next one."""
    left = threading.Event()

    def watched(wire: Wire) -> None:
        try:
            wire.send(bad.head(200))
            while True:
                wire.send(b" ", every=0.02)
        finally:
            left.set()

    async def main(base_url: str) -> None:
        async with AsyncEvrun(**FAST, base_url=base_url, concurrency=1) as client:
            await client.projects.list()
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await client.projects.list()
            await client.projects.list()

    with misbehaving(good(), bad.silent, watched, good()) as server:
        asyncio.run(main(server.base_url))
        assert left.wait(5)


def test_closing_under_a_call_is_our_error() -> None:
    """Whoever closes a client while it is used gets an error of ours for what was under way."""
    arrived = threading.Event()

    def held(wire: Wire) -> None:
        arrived.set()
        wire.wait(30)

    with misbehaving(held) as server, Evrun(**FAST, base_url=server.base_url) as client:

        def close() -> None:
            arrived.wait(5)
            client.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(AmbiguousDisconnectError, match="Client was closed"):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})
        closer.join()


@pytest.mark.parametrize("transport", [None, "fast"])
def test_a_header_that_cannot_be_sent_is_not_sent(transport: Any) -> None:
    """What a middleware spoils is an error before anything leaves."""

    def spoil(request: httpx.Request, send: Any) -> Any:
        request.headers["X-Odd"] = "two\nlines"
        return send(request)

    with (
        misbehaving(good()) as server,
        Evrun(
            api_key=KEY, base_url=server.base_url, transport=transport, middleware=[spoil]
        ) as client,
    ):
        with pytest.raises(InvalidRequestError, match="cannot be sent"):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})
        assert server.received == []
