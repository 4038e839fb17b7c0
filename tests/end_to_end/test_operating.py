"""`evrun serve` as a service: its log, its metrics, its health, TLS, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import ssl
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from _support.commands import COMMAND, evrun_process, new_key
from _support.raw_http import connect, received, replies, request, send
from _support.serve_process import eventually, metrics, service, started
from evrun import Evrun
from evrun.cli.serve import _announce
from evrun.server import Database

if TYPE_CHECKING:
    from pathlib import Path


EVIL = 'evrun_x"}\n{"status": 200, "forged": true}\x1b[31m\r\n'


def test_the_access_log_is_json_without_payloads_or_keys(tmp_path: Path) -> None:
    """A line of JSON for each exchange, also for what was no request; nothing of the callers'."""
    key = new_key(tmp_path)
    with service(tmp_path, "--access-log", "json") as server:
        headers = {"X-API-KEY": key, "X-Request-ID": "mine", "User-Agent": "secret-agent"}
        secret = {"name": "secret-name"}
        made = httpx.post(f"{server.base_url}/projects", json=secret, headers=headers)
        query = {"filter": "secret-filter"}
        httpx.get(f"{server.base_url}/projects", params=query, headers=headers)
        httpx.get(f"{server.base_url}/projects/secret-{key}", headers=headers)
        httpx.get(f"{server.root}/secret-{key}", headers={"X-Request-ID": "secret request"})
        httpx.get(f"{server.base_url}/projects", headers={"X-API-KEY": "secret-key"})
        httpx.request("BREW", f"{server.base_url}/projects")
        send(server.base_url, b"secret nonsense\r\n\r\n")
        forwarded = {"X-Forwarded-For": "secret-address"}
        httpx.get(f"{server.root}/healthz", headers=forwarded)
        assert server.stop() == 0
    entries = [json.loads(line) for line in server.lines]
    assert [(each["method"], each["route"], each["status"]) for each in entries] == [
        ("POST", "/v4/projects", 201),
        ("GET", "/v4/projects", 200),
        ("GET", "/v4/projects/{id}", 422),
        ("GET", None, 404),
        ("GET", "/v4/projects", 401),
        ("other", None, 405),
        ("other", None, 400),
        ("GET", "/healthz", 200),
    ]
    first = entries[0]
    assert first["request_id"] == "mine"
    assert first["hint"] == key[:12]
    assert first["key"].startswith("key_")
    assert first["client"] == "127.0.0.1"
    assert first["received"] == len(made.request.content)
    assert first["sent"] == len(made.content)
    assert 0 < first["seconds"] < 60
    assert entries[4]["key"] is None
    whole = "\n".join([*server.lines, *server.said])
    assert "secret" not in whole
    assert key not in whole


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_can_be_injected_into_the_access_log(tmp_path: Path, form: str) -> None:
    """As many lines as exchanges, and no control character, whatever is sent wherever."""
    key = new_key(tmp_path)
    with service(tmp_path, "--access-log", form) as server:
        headers = {"X-API-KEY": key}
        with httpx.Client(base_url=server.base_url, headers=headers) as http:
            http.post("/projects", json={"name": EVIL})
            http.get("/projects", params={"filter": EVIL})
            http.get(f"/evaluations/{httpx.QueryParams({'': EVIL})}")
            http.get("/projects", headers={"X-Request-ID": 'a", "status": 200'})
            http.get("/projects", headers={"X-Forwarded-For": '1", "status": 200'})
            http.get("/projects", headers={"X-API-KEY": 'x" \x09 "status": 200'})
            http.post("/sessions", headers={"Idempotency-Key": '"}{"'})
        assert server.stop() == 0
    assert len(server.lines) == 7
    for line in server.lines:
        assert line.isprintable()
        assert "forged" not in line
        if form == "json":
            assert isinstance(json.loads(line)["seconds"], float)


def test_the_access_log_can_be_turned_off(tmp_path: Path) -> None:
    """Nothing stands on standard output then."""
    with service(tmp_path, "--access-log", "off") as server:
        httpx.get(f"{server.root}/healthz")
        assert server.stop() == 0
    assert server.lines == []


@pytest.mark.parametrize("gone", ["from the start", "later"])
def test_an_access_log_that_nobody_takes_is_one_sentence(tmp_path: Path, gone: str) -> None:
    """At most: requests are answered as ever, the other log is not filled, and the status is 0."""
    reader, writer = os.pipe()
    redirected = 'exec "$0" "$@" >&-' if gone == "from the start" else 'exec "$0" "$@"'
    command = ("sh", "-c", redirected, COMMAND, "serve", "--port", "0")
    with started(tmp_path, command, writer, {}) as server:
        os.close(writer)
        os.close(reader)
        for _ in range(5):
            assert httpx.get(f"{server.root}/healthz").status_code == 200
        assert server.stop() == 0
    said = "\n".join(server.said)
    assert said.count("The access log is not written") == (1 if gone == "later" else 0)
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_metrics_count_by_route(tmp_path: Path) -> None:
    """Prometheus' own parser reads them; a made-up path or method adds no series."""
    key = new_key(tmp_path)
    with service(tmp_path) as server:
        headers = {"X-API-KEY": key}
        with httpx.Client(base_url=server.base_url, headers=headers) as http:
            for _ in range(3):
                http.post("/projects", json={"name": "p"})
            metrics(server)
            before = len(metrics(server))
            for number in range(50):
                http.get(f"/projects/pr_{number}")
                http.get(f"/made-up-{number}")
                http.request(f"BREW{number}", "/projects")
            send(server.base_url, b"nonsense\r\n\r\n")
            found = metrics(server)
    total = "evrun_requests_total"
    assert sum(v for k, v in found.items() if k[:3] == (total, "POST", "/v4/projects")) == 3
    assert found[total, "GET", "/v4/projects/{id}", "404"] == 50
    assert found[total, "GET", "none", "404"] == 50
    assert found[total, "other", "none", "405"] == 50
    assert found[total, "other", "none", "400"] == 1
    assert found["evrun_request_seconds_count", "POST", "/v4/projects"] == 3
    assert found["evrun_connections",] >= 2
    assert found["process_open_fds",] > 0
    assert len(found) - before < 80
    assert not any("made-up" in label or "pr_" in label for key in found for label in key)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls(tmp_path: Path, authority: trustme.CA) -> None:
    """With a certificate the address is https, clients verify it, and plain HTTP gets nothing."""
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(private)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    key = new_key(tmp_path)
    options = ("--ssl-certfile", str(chain), "--ssl-keyfile", str(private))
    with service(tmp_path, *options) as server:
        assert server.base_url.startswith("https://127.0.0.1:")
        with Evrun(api_key=key, base_url=server.base_url, verify=trusted) as client:
            assert client.projects.list().total == 0
        with connect(server.base_url) as connection:
            connection.sendall(request("GET", "/healthz"))
            assert b"HTTP" not in received(connection)
        old = ssl.create_default_context()
        old.set_ciphers("DEFAULT@SECLEVEL=0")  # it is the server that refuses
        authority.configure_trust(old)
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.root}/healthz", verify=old)
        assert server.stop() == 0


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path, authority: trustme.CA) -> None:
    """Neither a file of something else, nor another's key."""
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    authority.issue_cert("localhost").cert_chain_pems[0].write_to_path(chain)
    authority.issue_cert("localhost").private_key_pem.write_to_path(private)
    (tmp_path / "text.pem").write_text("no certificate")
    for certificate, key in (("text.pem", "key.pem"), ("chain.pem", "key.pem")):
        result = evrun_process(
            *("serve", "--port", "0", "--ssl-certfile", certificate, "--ssl-keyfile", key),
            cwd=tmp_path,
            check=False,
        )
        assert result.returncode == 3
        assert "The certificate or its key is unusable" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("host", "bound", "tls", "warned"),
    [
        ("0.0.0.0", "0.0.0.0", False, True),  # noqa: S104 - nothing listens there
        ("::", "::", False, True),
        ("::1234:5", "::1234:5", False, True),
        ("192.0.2.1", "192.0.2.1", False, True),
        ("localhost.example.com", "192.0.2.1", False, True),
        ("192.0.2.1", "192.0.2.1", True, False),
        ("127.0.0.1", "127.0.0.1", False, False),
        ("localhost", "127.0.0.1", False, False),
        ("::1", "::1", False, False),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", False, False),
    ],
)
def test_it_warns_when_keys_travel_in_the_clear(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    host: str,
    bound: str,
    tls: bool,
    warned: bool,
) -> None:
    """Not within this machine, whatever it is called, and not under TLS."""
    url = f"sqlite:///{tmp_path / 'evrun.db'}"
    database = Database(url)
    _announce(database, url, host, (bound, 8000), tls=tls)
    database.close()
    said = capsys.readouterr().err
    assert ("WARNING: other machines can reach it" in said) is warned
    assert ("https://" in said) is tls


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_what_is_under_way(tmp_path: Path, sig: int) -> None:
    """Its answer comes; meanwhile new requests and `/readyz` get 503; then the status is 0."""
    key = new_key(tmp_path)
    body = b'{"name": "under way"}'
    headers = {"X-API-KEY": key, "Content-Length": str(len(body)), "Connection": "keep-alive"}
    with service(tmp_path) as server:
        with connect(server.base_url) as connection:
            connection.sendall(request("POST", "/v4/projects", headers) + body[:5])
            eventually(lambda: metrics(server)["evrun_connections",] == 2)
            server.process.send_signal(sig)
            eventually(lambda: httpx.get(f"{server.root}/readyz").status_code == 503)
            refused = httpx.get(f"{server.base_url}/projects", headers={"X-API-KEY": key})
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "1"
            assert refused.headers["Connection"] == "close"
            assert "stopping" in refused.json()["detail"]
            assert httpx.get(f"{server.root}/healthz").status_code == 200
            assert server.process.poll() is None
            connection.sendall(body[5:])
            (reply,) = replies(received(connection))
        assert reply.status == 201
        assert server.process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.root}/readyz")
    assert "Traceback" not in "\n".join(server.said)


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    """After the drain timeout, a request that is not whole yet is refused: nothing was begun."""
    key = new_key(tmp_path)
    headers = {"X-API-KEY": key, "Content-Length": "100", "Connection": "keep-alive"}
    options = ("--drain-timeout", "1", "--client-timeout", "600")
    with service(tmp_path, *options) as server, connect(server.base_url) as connection:
        connection.sendall(request("POST", "/v4/projects", headers))
        eventually(lambda: metrics(server)["evrun_connections",] == 2)
        assert server.stop() == 0
        (reply,) = replies(received(connection))
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["connection"] == "close"
    assert reply.detail == "The server is stopping and takes no more requests."
    assert "Traceback" not in "\n".join(server.said)


def test_a_stop_does_not_deny_what_it_began(tmp_path: Path) -> None:
    """What waits for the database when time is up is told that it may be done, and it is."""
    key = new_key(tmp_path)
    body = b'{"name": "begun"}'
    file = tmp_path / "evrun.db"
    with (
        service(tmp_path, "--drain-timeout", "1") as server,
        connect(server.base_url) as connection,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        connection.sendall(request("POST", "/v4/projects", {"X-API-KEY": key}, body))
        eventually(lambda: metrics(server)["evrun_connections",] == 2)
        server.process.terminate()
        answer = b""
        while not answer.endswith(b"}"):  # the connection is closed when the writer is done
            answer += connection.recv(65536)
        other.execute("ROLLBACK")
        assert server.process.wait(60) == 0
    (reply,) = replies(answer)
    assert reply.status == 500
    assert "retry-after" not in reply.headers
    assert "it may be done all the same" in reply.detail
    with Evrun.local(file) as client:
        assert [each.name for each in client.projects.iter_all()] == ["begun"]


def test_a_stop_under_load_loses_nothing(tmp_path: Path) -> None:
    """What was acknowledged is there, once; whatever else came was 503 or no answer at all."""
    key = new_key(tmp_path)
    acknowledged: list[str] = []
    odd: list[int] = []
    with service(tmp_path, "--access-log", "off") as server:

        def create(worker: int) -> None:
            with httpx.Client(base_url=server.base_url, headers={"X-API-KEY": key}) as http:
                for number in range(10_000):
                    name = f"{worker}-{number}"
                    try:
                        response = http.post("/projects", json={"name": name}, timeout=30)
                    except httpx.TransportError:
                        return
                    if response.status_code == 201:
                        acknowledged.append(name)
                    elif response.status_code == 503:
                        return
                    else:
                        odd.append(response.status_code)

        workers = [threading.Thread(target=create, args=(n,)) for n in range(16)]
        for worker in workers:
            worker.start()
        eventually(lambda: len(acknowledged) > 100)
        assert server.stop() == 0
        for worker in workers:
            worker.join(30)
    assert odd == []
    with Evrun.local(tmp_path / "evrun.db") as client:
        stored = [each.name for each in client.projects.iter_all()]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    # Without an answer at most the one request of each worker.
    assert len(stored) - len(acknowledged) <= len(workers)
    assert "Traceback" not in "\n".join(server.said)
