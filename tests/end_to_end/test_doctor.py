"""`evrun doctor` before real servers: each thing that can be wrong is named, and its way out."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme

from _support.commands import environment, evrun, evrun_process, new_key, serving
from _support.fixed_answers import Answering, Reply, answering
from evrun import __version__
from evrun.cli.diagnosis import CHECKS
from evrun_api.contract import SHA256

if TYPE_CHECKING:
    from pathlib import Path

KEY = "evk_" + "0123456789" * 4
PAGE = {"records": [], "page": 0, "size": 1, "total": 0}
HEALTH = {"status": "ok", "version": __version__, "contract": SHA256}
NOT_FOUND = Reply(404, {"detail": "Not Found"})
# Takes any key, and says nothing of itself.
SOMEBODY = {"/v4/projects": Reply(200, PAGE)}
OURS = {**SOMEBODY, "/healthz": Reply(200, HEALTH)}


@pytest.fixture(autouse=True)
def _no_proxies_or_authorities_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def doctor(cwd: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    result = evrun("doctor", *arguments, cwd=cwd, check=False, **more)
    assert result.stderr == ""
    return result


def lines(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return what stands on the line of each check, from its mark on."""
    shown = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[1] for line in shown] == list(CHECKS)
    return {line.split()[1]: f"{line[0]} {line[12:]}" for line in shown}


def fixes(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.strip() for line in result.stdout.splitlines() if line.startswith(" ")]


def look(cwd: Path, server: Answering, **more: str) -> subprocess.CompletedProcess[str]:
    """Examine a server, with a key that looks good."""
    return doctor(cwd, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=f"{server.url}/v4", **more)


def test_all_is_fine(tmp_path: Path) -> None:
    """A line for each check, status 0, and the key goes only to the API."""
    with answering(NOT_FOUND, OURS) as server:
        result = look(tmp_path, server)
    assert result.stdout.splitlines() == [
        f"✓ address   {server.url}/v4 (from EVRUN_BASE_URL)",
        "✓ key       evk_01234567… (from EVRUN_API_KEY)",
        f"✓ network   connected to 127.0.0.1, port {server.url.rpartition(':')[2]}",
        "- TLS       plain HTTP, which does not leave this machine",
        f"✓ server    evrun {__version__}",
        f"✓ contract  the same on both sides ({SHA256[:12]}…)",
        "✓ access    the key is accepted",
    ]
    assert result.returncode == 0
    assert [(each.path.partition("?")[0], each.key) for each in server.received] == [
        ("/healthz", None),
        ("/v4/projects", KEY),
    ]
    assert "size=1" in server.received[1].path


def test_a_server_of_ours(tmp_path: Path) -> None:
    """`evrun serve` of this version is fine; a key that it does not know, or no more, is not."""
    key = new_key(tmp_path)
    with serving(tmp_path) as base_url:
        result = doctor(tmp_path, EVRUN_API_KEY=key, EVRUN_BASE_URL=base_url)
        assert {check: line[0] for check, line in lines(result).items()} == {
            **dict.fromkeys(CHECKS, "✓"),
            "TLS": "-",
        }
        assert lines(result)["server"] == f"✓ evrun {__version__}"
        assert result.returncode == 0

        wrong = doctor(tmp_path, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=base_url)
        assert lines(wrong)["access"] == (
            "✗ the key is refused (401: The server does not know the key in X-API-KEY)"
        )
        assert fixes(wrong) == [
            "`evrun keys create NAME --database URL` makes one, with the URL that the server was "
            "started with; set EVRUN_API_KEY to it."
        ]
        assert wrong.returncode == 3

        evrun("keys", "revoke", "tests", cwd=tmp_path)
        revoked = doctor(tmp_path, EVRUN_API_KEY=key, EVRUN_BASE_URL=base_url)
        assert "This key (tests) was revoked)" in lines(revoked)["access"]
        assert revoked.returncode == 3

        short = doctor(tmp_path, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=base_url.removesuffix("/v4"))
        assert lines(short)["server"].startswith("✓")
        assert fixes(short) == [f"Addresses end in /v4: set EVRUN_BASE_URL to {base_url}."]


def test_a_server_that_fails_on_purpose(tmp_path: Path) -> None:
    """`evrun serve --faults` is pointed out, with its first fault; the rest is checked as usual."""
    (tmp_path / "faults.toml").write_text(
        '[[fault]]\nkind = "drop"\nmethod = "POST"\n[[fault]]\nkind = "duplicate"\n'
        'operation = "Evaluations_log"\n'
    )
    key = new_key(tmp_path)
    with serving(tmp_path, "--faults", "faults.toml") as base_url:
        result = doctor(tmp_path, EVRUN_API_KEY=key, EVRUN_BASE_URL=base_url)
    assert lines(result)["server"] == (
        f"! evrun {__version__} was started to fail requests on purpose "
        "(drop before the commit: method=POST, and 1 more)"
    )
    assert fixes(result) == ["Unless this is a test, start it without --faults."]
    assert lines(result)["access"] == "✓ the key is accepted"
    assert result.returncode == 0


def test_it_needs_no_server_extra(tmp_path: Path) -> None:
    """The doctor is for those who only send, too."""
    hidden = "sys.modules.update(dict.fromkeys(['starlette', 'sqlalchemy', 'pydantic']))"
    code = f"import sys; {hidden}; from evrun.cli import main; main()"
    with answering(NOT_FOUND, OURS) as server:
        result = subprocess.run(
            [sys.executable, "-c", code, "doctor", "--base-url", f"{server.url}/v4"],
            cwd=tmp_path,
            env=environment(EVRUN_API_KEY=KEY),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (result.returncode, result.stderr) == (0, "")


def test_json_says_the_same_to_machines(tmp_path: Path) -> None:
    """`--json` has every check, both versions and both hashes; the status is the same."""
    old = Reply(200, {**HEALTH, "version": "0.0.1", "contract": "0" * 64})
    for health, passed in ((OURS["/healthz"], True), (old, False)):
        with answering(NOT_FOUND, {**OURS, "/healthz": health}) as server:
            result = doctor(
                tmp_path, "--json", EVRUN_API_KEY=KEY, EVRUN_BASE_URL=f"{server.url}/v4"
            )
        found = json.loads(result.stdout)
        assert found["passed"] is passed
        assert result.returncode == (0 if passed else 3)
        assert [each["check"] for each in found["checks"]] == list(CHECKS)
        assert {frozenset(each) for each in found["checks"]} == {
            frozenset({"check", "status", "said", "fix"})
        }
        assert found["client"] == {"version": __version__, "contract": SHA256}
        told = health.body
        assert found["server"] == {"version": told["version"], "contract": told["contract"]}
        assert KEY not in result.stdout


def test_an_old_contract_is_a_failure(tmp_path: Path) -> None:
    """A server that was made from another contract is named with both hashes."""
    old = Reply(200, {**HEALTH, "version": "0.0.1", "contract": "0" * 64})
    with answering(NOT_FOUND, {**OURS, "/healthz": old}) as server:
        result = look(tmp_path, server)
    assert lines(result)["contract"] == (
        "✗ the server (evrun 0.0.1) follows 000000000000…, "
        f"this client (evrun {__version__}) {SHA256[:12]}…"
    )
    assert lines(result)["access"].startswith("✓")
    assert result.returncode == 3


def test_somebody_elses_server_is_a_note(tmp_path: Path) -> None:
    """A v4 API that is not evrun's is fine: it is said, and the rest is checked."""
    with answering(NOT_FOUND, SOMEBODY) as server:
        result = look(tmp_path, server)
    assert lines(result)["server"] == (
        f"! not an evrun server: {server.url}/healthz answers 404 (application/json)"
    )
    assert lines(result)["contract"].startswith("- ")
    assert lines(result)["access"] == "✓ the key is accepted"
    assert result.returncode == 0


def test_a_server_of_web_pages_is_no_api(tmp_path: Path) -> None:
    """HTML with status 200 everywhere, as a login page or a router has it, is a failure."""
    with answering(Reply(200, b"<html>Log in</html>")) as server:
        result = look(tmp_path, server)
    assert lines(result)["server"].endswith("answers 200 (text/html)")
    assert "the body is not JSON (text/html, 19 bytes)" in lines(result)["access"]
    assert fixes(result) == [
        "Check EVRUN_BASE_URL: it is where the v4 API itself answers, without a redirect."
    ]
    assert result.returncode == 3


def test_a_closed_port(tmp_path: Path) -> None:
    """Nobody there: it says how to start a server, and what was not checked."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = doctor(tmp_path, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=f"http://127.0.0.1:{port}/v4")
    assert lines(result)["network"] == f"✗ nobody listens on 127.0.0.1, port {port}"
    assert fixes(result) == [
        "Start the server there, or correct EVRUN_BASE_URL; "
        "`evrun serve` starts a server of your own."
    ]
    for check in ("TLS", "server", "contract", "access"):
        assert lines(result)[check] == "- not checked: see network"
    assert result.returncode == 3


def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    """A name without an address is told apart from a port that is closed."""
    result = doctor(tmp_path, EVRUN_API_KEY=KEY, EVRUN_BASE_URL="http://evrun.invalid/v4")
    assert lines(result)["network"] == "✗ the name 'evrun.invalid' has no address"
    assert result.returncode == 3


def test_a_port_that_says_nothing(tmp_path: Path) -> None:
    """A listener that never answers ends with the time limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v4"
        result = doctor(tmp_path, "--base-url", url, "--timeout", "0.3", EVRUN_API_KEY=KEY)
    assert lines(result)["address"] == f"✓ {url} (from --base-url)"
    assert lines(result)["server"].startswith("✗ no HTTP answer: ")
    assert result.returncode == 3


def test_a_port_that_hangs_up(tmp_path: Path) -> None:
    """A listener that speaks something else is no HTTP server."""
    with answering(Reply(0)) as server:
        result = look(tmp_path, server)
    assert lines(result)["server"].startswith("✗ no HTTP answer: Server disconnected")
    assert fixes(result) == [
        "Something else may listen there; or write https:// in EVRUN_BASE_URL."
    ]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority of our own, which nobody trusts."""
    return trustme.CA(organization_name="Our Authority")


def tls(authority: trustme.CA, name: str, days: int = 100) -> ssl.SSLContext:
    """Return a server's settings with a certificate that ends in so many days."""
    now = datetime.now(UTC)
    certificate = authority.issue_cert(
        name,
        not_before=now - timedelta(days=30),
        not_after=now + timedelta(days=days, minutes=5),
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def test_a_certificate_that_nobody_trusts(tmp_path: Path, authority: trustme.CA) -> None:
    """It is named; with SSL_CERT_FILE, as the fix says, the same server is fine."""
    with answering(NOT_FOUND, OURS, tls=tls(authority, "127.0.0.1")) as server:
        result = look(tmp_path, server)
        assert lines(result)["TLS"] == (
            "✗ this machine does not trust the certificate's issuer "
            "(unable to get local issuer certificate)"
        )
        assert lines(result)["access"] == "- not checked: see TLS"
        assert fixes(result)[0].startswith("If the issuer is yours, set SSL_CERT_FILE to")
        assert result.returncode == 3
        assert server.received == []  # the key least of all

        trusted = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(trusted)
        result = look(tmp_path, server, SSL_CERT_FILE=str(trusted))
        assert "certificate of Our Authority for another" in lines(result)["TLS"]
        assert lines(result)["access"] == "✓ the key is accepted"
        assert result.returncode == 0


def test_a_certificate_that_signs_itself(tmp_path: Path, authority: trustme.CA) -> None:
    """Self-signed is said in so many words."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    itself = tmp_path / "itself.pem"
    itself.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context.load_cert_chain(itself)
    with answering(NOT_FOUND, OURS, tls=context) as server:
        result = look(tmp_path, server)
    assert "(self-signed certificate)" in lines(result)["TLS"]
    assert result.returncode == 3


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [
        ("other.example", 100, "✗ the certificate is not for '127.0.0.1'"),
        ("127.0.0.1", -1, "✗ the certificate has expired"),
        ("127.0.0.1", 3, "! TLSv1.3, certificate of Our Authority for another 3 days"),
    ],
)
def test_certificates_that_are_wrong_or_nearly(
    tmp_path: Path, authority: trustme.CA, name: str, days: int, said: str
) -> None:
    """Another name and the end of a certificate are told apart; a near end is a note."""
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    with answering(NOT_FOUND, OURS, tls=tls(authority, name, days)) as server:
        result = look(tmp_path, server, SSL_CERT_FILE=str(trusted))
    assert lines(result)["TLS"] == said
    assert result.returncode == (3 if said.startswith("✗") else 0)


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    """A wrong SSL_CERT_FILE stops every client, and is named."""
    with answering(NOT_FOUND, OURS) as server:
        result = look(tmp_path, server, SSL_CERT_FILE=str(tmp_path / "missing.pem"))
    assert lines(result)["TLS"].startswith("✗ SSL_CERT_FILE='")
    assert lines(result)["TLS"].endswith("missing.pem' is not a file")
    assert result.returncode == 3


def test_https_towards_a_plain_port(tmp_path: Path) -> None:
    """The scheme is named when the port speaks plain HTTP."""
    with answering(NOT_FOUND, OURS) as server:
        url = server.url.replace("http:", "https:")
        result = doctor(tmp_path, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=f"{url}/v4")
    assert lines(result)["TLS"].startswith("✗ no TLS on that port (")
    assert fixes(result) == ["If the server speaks plain HTTP, write http:// in EVRUN_BASE_URL."]


def test_a_proxy_is_where_the_connection_goes(tmp_path: Path) -> None:
    """With a proxy set, that is what is reached, and the variable is named."""
    replies = {"http://evrun.invalid" + path: reply for path, reply in OURS.items()}
    with answering(NOT_FOUND, replies) as proxy:
        result = doctor(
            tmp_path,
            EVRUN_API_KEY=KEY,
            EVRUN_BASE_URL="http://evrun.invalid/v4",
            HTTP_PROXY=proxy.url,
        )
    port = proxy.url.rpartition(":")[2]
    assert lines(result)["network"] == (
        f"✓ connected to the proxy of HTTP_PROXY, 127.0.0.1, port {port}"
    )
    assert lines(result)["TLS"] == "! plain HTTP: everyone on the way can read the key"
    assert lines(result)["access"] == "✓ the key is accepted"
    assert result.returncode == 0


def test_a_proxy_that_no_client_takes(tmp_path: Path) -> None:
    """Its variable is named, without the password, and nothing is tried."""
    settings = {"EVRUN_API_KEY": KEY, "EVRUN_BASE_URL": "http://evrun.invalid/v4"}
    result = doctor(tmp_path, **settings, all_proxy="socks://me:secret@127.0.0.1:1")
    said = "✗ all_proxy='socks://…@127.0.0.1:1' is not the address of a proxy"
    assert lines(result)["network"] == said
    assert fixes(result)[0].startswith("Expected one such as http://host:3128")
    assert result.returncode == 3


@pytest.mark.parametrize(
    ("settings", "said", "fix"),
    [
        ({}, "✗ No API key", "Pass api_key=… or set EVRUN_API_KEY; `evrun keys create NAME`"),
        (
            {"EVRUN_API_KEY": ""},
            "✗ EVRUN_API_KEY is empty",
            "Give it a key; `evrun keys create NAME` makes one.",
        ),
        ({"EVRUN_API_KEY": f'"{KEY}"'}, "✗ EVRUN_API_KEY has quotes around the key", "Leave"),
        ({"EVRUN_API_KEY": KEY[:20]}, "✗ EVRUN_API_KEY is cut short", "Paste it whole"),
        ({"HUMANLOOP_API_KEY": "hl_sk_" + "x" * 30}, "✓ hl_s… (from HUMANLOOP_API_KEY", ""),
    ],
)
def test_keys(tmp_path: Path, settings: dict[str, str], said: str, fix: str) -> None:
    """A key that is missing or broken is told; everything else is checked all the same."""
    with answering(NOT_FOUND, OURS) as server:
        result = doctor(tmp_path, EVRUN_BASE_URL=f"{server.url}/v4", **settings)
    assert lines(result)["key"].startswith(said)
    assert lines(result)["contract"].startswith("✓")
    if fix:
        assert fixes(result)[0].startswith(fix)
        assert lines(result)["access"] == "- not checked: see key"
        assert [each.path for each in server.received] == ["/healthz"]
    assert result.returncode == (3 if fix else 0)


@pytest.mark.parametrize(
    "echo",
    [
        Reply(401, {"detail": f"\x1b[31m{KEY} is unknown."}),
        Reply(400, b"x" * 170 + KEY.encode()),  # errors quote the first 200 bytes
    ],
    ids=["whole", "cut"],
)
def test_a_server_that_sends_the_key_back(tmp_path: Path, echo: Reply) -> None:
    """Neither the key nor a terminal's control characters come out, whatever a server answers."""
    with answering(NOT_FOUND, {**OURS, "/v4/projects": echo}) as server:
        for more in ((), ("--json",)):
            result = doctor(tmp_path, *more, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=f"{server.url}/v4")
            assert result.returncode == 3
            assert KEY[:12] in result.stdout
            assert KEY[:13] not in result.stdout
            assert "\x1b" not in result.stdout
            assert "\\u001b" not in result.stdout


@pytest.mark.parametrize(
    "arguments", [("--timeout", "0"), ("--timeout", "nan"), ("--nonsense",), ("more",)]
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What the command does not understand ends with 2."""
    result = evrun("doctor", *arguments, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_an_address_that_is_none(tmp_path: Path) -> None:
    """Nothing can be checked without an address; the fix shows one."""
    result = doctor(tmp_path, "--base-url", "127.0.0.1:8000", EVRUN_API_KEY=KEY)
    assert lines(result)["address"] == "✗ base_url='127.0.0.1:8000' is not an http(s) address"
    assert fixes(result)[0].startswith("Expected an address such as http://127.0.0.1:8000/v4")
    assert lines(result)["access"] == "- not checked: see address"
    assert result.returncode == 3


def test_no_address(tmp_path: Path) -> None:
    """Without an address it names the ways to a server, and why there is no default."""
    result = doctor(tmp_path, EVRUN_API_KEY=KEY)
    assert lines(result)["address"] == "✗ No address"
    (fix,) = fixes(result)
    for way in ("EVRUN_BASE_URL", "`evrun serve`", "Evrun.local(", "8 September 2025"):
        assert way in fix
    assert lines(result)["access"] == "- not checked: see address"
    assert result.returncode == 3


def test_the_vendors_address(tmp_path: Path) -> None:
    """The vendor's platform has ended: nothing is asked of it, and no key shown to it."""
    url = "https://api.humanloop.com/v4"
    result = doctor(tmp_path, EVRUN_API_KEY=KEY, EVRUN_BASE_URL=url)
    assert lines(result)["address"] == (
        f"✗ EVRUN_BASE_URL='{url}': the vendor's hosted platform ended on 8 September 2025, and "
        "its data was deleted"
    )
    assert fixes(result)[0].startswith("Nothing is sent there. Pass base_url=…")
    assert lines(result)["network"] == "- not checked: see address"
    assert result.returncode == 3


def test_a_terminal_without_check_marks(tmp_path: Path) -> None:
    """An output that cannot hold the marks gets plain ones."""
    with answering(NOT_FOUND, OURS) as server:
        result = evrun_process(
            *("doctor", "--base-url", f"{server.url}/v4"),
            cwd=tmp_path,
            EVRUN_API_KEY=KEY,
            PYTHONIOENCODING="ascii",
        )
    assert result.stdout.startswith("+ address   ")
