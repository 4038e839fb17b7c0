"""What `evrun doctor` makes of facts: each failure is named, and says what to do."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import httpx
import pytest

from evrun import errors
from evrun._base.redaction import SentRequest
from evrun.cli import diagnosis
from evrun.cli.diagnosis import Exchange, Finding, Reach, Server, Setting

URL = Setting("https://evals.example/v4", "EVRUN_BASE_URL", "EVRUN_BASE_URL")
KEY = Setting("evk_" + "a1B2" * 10, "EVRUN_API_KEY", "EVRUN_API_KEY")
OWN = Server("0.2.0", "a" * 64)
ASKED = SentRequest(method="GET", url="https://evals.example", headers=(), body="", body_size=0)
DAY = 86_400.0
ENDS = "Jun  1 12:00:00 2027 GMT"
CERTIFICATE = {
    "notAfter": ENDS,
    "issuer": ((("countryName", "CH"),), (("organizationName", "Good Authority"),)),
}


def refused_certificate(code: int, message: str) -> httpx.ConnectError:
    """Return httpx's error over a certificate, which it wraps twice."""
    inner = ssl.SSLCertVerificationError(message)
    inner.verify_code, inner.verify_message = code, message
    middle, outer = RuntimeError("httpcore's"), httpx.ConnectError(message)
    middle.__cause__, outer.__cause__ = inner, middle
    return outer


@pytest.mark.parametrize(
    ("value", "outcome", "said"),
    [
        (KEY.value, "passed", "evk_a1B2a1B2… (from EVRUN_API_KEY)"),
        (
            "hl_sk_0123456789abcdef",
            "passed",
            "hl_s… (from EVRUN_API_KEY, not one that evrun makes)",
        ),
        ("short", "passed", "… (from EVRUN_API_KEY, not one that evrun makes)"),
        ("evk_short", "failed", "EVRUN_API_KEY is cut short: 9 characters of at least 36"),
        (f'"{KEY.value}"', "failed", "EVRUN_API_KEY has quotes around the key"),
        (f"'{KEY.value}'", "failed", "EVRUN_API_KEY has quotes around the key"),
    ],
)
def test_keys_by_their_form(value: str, outcome: str, said: str) -> None:
    """A key that was not pasted whole or clean is told before anything is sent."""
    found = diagnosis.key_form(Setting(value, "EVRUN_API_KEY", "EVRUN_API_KEY"))
    assert (found.status, found.said) == (outcome, said)
    assert bool(found.fix) == (outcome == "failed")


@pytest.mark.parametrize(
    ("reach", "said", "fix"),
    [
        ({"address": "10.0.0.1"}, "connected to evals.example, port 443 (10.0.0.1)", ""),
        (
            {"error": socket.gaierror(-2, "Name or service not known")},
            "the name 'evals.example' has no address",
            "Check EVRUN_BASE_URL, and this machine's name service or VPN; "
            "`evrun serve` starts a server of your own.",
        ),
        (
            {"error": UnicodeEncodeError("idna", "x", 0, 1, "label too long")},
            "the name 'evals.example' has no address",
            "Check EVRUN_BASE_URL, and this machine's name service or VPN; "
            "`evrun serve` starts a server of your own.",
        ),
        (
            {"error": ConnectionRefusedError(111, "Connection refused")},
            "nobody listens on evals.example, port 443",
            "Start the server there, or correct EVRUN_BASE_URL; "
            "`evrun serve` starts a server of your own.",
        ),
        (
            {"error": TimeoutError("timed out")},
            "no connection to evals.example, port 443 in time",
            "A firewall or a missing VPN may be in the way; or correct EVRUN_BASE_URL.",
        ),
        (
            {"error": OSError(101, "Network is unreachable"), "proxy": "HTTPS_PROXY"},
            "no connection to the proxy of HTTPS_PROXY, evals.example, port 443: "
            "Network is unreachable",
            "Check this machine's network, or correct HTTPS_PROXY.",
        ),
    ],
)
def test_ways_to_fail_to_connect(reach: dict[str, Any], said: str, fix: str) -> None:
    """Each is told apart, with what is to be done about it."""
    found = diagnosis.network(Reach(host="evals.example", port=443, **reach), URL)
    assert (found.said, found.fix) == (said, fix)
    assert found.status == ("failed" if fix else "passed")


@pytest.mark.parametrize(
    ("code", "message", "said", "fix"),
    [
        (
            10,
            "certificate has expired",
            "the certificate has expired",
            "Renew it; if it is new, set this machine's clock.",
        ),
        (
            9,
            "certificate is not yet valid",
            "the certificate is not valid yet",
            "Set this machine's clock.",
        ),
        (
            18,
            "self-signed certificate",
            "this machine does not trust the certificate's issuer (self-signed certificate)",
            "If the issuer is yours, set SSL_CERT_FILE to a PEM file with its certificate: "
            "evrun does not read the system's list.",
        ),
        (
            62,
            "Hostname mismatch, certificate is not valid for 'evals.example'.",
            "the certificate is not for 'evals.example'",
            "Write a name of the certificate in EVRUN_BASE_URL.",
        ),
        (
            23,
            "certificate revoked",
            "the certificate is refused: certificate revoked",
            "Replace the server's certificate.",
        ),
    ],
)
def test_certificates_that_are_refused(code: int, message: str, said: str, fix: str) -> None:
    """What is wrong with a certificate is named."""
    exchange = Exchange(
        url="https://evals.example/healthz", error=refused_certificate(code, message)
    )
    assert diagnosis.encryption(exchange, URL, 0) == Finding("TLS", "failed", said, fix)


@pytest.mark.parametrize(
    ("days", "outcome"), [(400, "passed"), (15, "passed"), (13, "note"), (1, "note")]
)
def test_a_certificate_that_ends_soon_is_mentioned(days: int, outcome: str) -> None:
    """The last two weeks are worth a note, which is no failure."""
    now = ssl.cert_time_to_seconds(ENDS) - days * DAY
    exchange = Exchange(
        url="https://evals.example/healthz", status=200, tls="TLSv1.3", certificate=CERTIFICATE
    )
    found = diagnosis.encryption(exchange, URL, now)
    said = f"TLSv1.3, certificate of Good Authority for another {days} days"
    assert (found.status, found.said) == (outcome, said)


@pytest.mark.parametrize(
    ("url", "exchange", "outcome", "said"),
    [
        (
            "http://127.0.0.1:8000/healthz",
            {"status": 200},
            "skipped",
            "plain HTTP, which does not leave this machine",
        ),
        (
            "http://evals.example/healthz",
            {"status": 200},
            "note",
            "plain HTTP: everyone on the way can read the key",
        ),
        (
            "https://evals.example/healthz",
            {"error": httpx.ReadTimeout("slow")},
            "skipped",
            "not checked: no answer",
        ),
        (
            "http://127.0.0.1:8000/healthz",
            {"error": errors.ConfigurationError("SSL_CERT_FILE='ca.pem' is not a file. Unset it.")},
            "failed",
            "SSL_CERT_FILE='ca.pem' is not a file",
        ),
    ],
)
def test_other_states_of_encryption(
    url: str, exchange: dict[str, Any], outcome: str, said: str
) -> None:
    """Plain HTTP is no failure; what no client can work with is."""
    found = diagnosis.encryption(Exchange(url=url, **exchange), URL, 0)
    assert (found.status, found.said) == (outcome, said)


@pytest.mark.parametrize(
    ("body", "outcome", "said"),
    [
        (b'{"status": "ok", "version": "0.2.0", "contract": "ab"}', "passed", "evrun 0.2.0"),
        (
            b'{"status": "draining", "version": "0.2.0", "contract": "ab"}',
            "failed",
            "evrun 0.2.0 says that it is 'draining'",
        ),
        (
            b"<html>",
            "note",
            "not an evrun server: https://evals.example/healthz answers 200 (text/html)",
        ),
        (
            b"[" * 100_000,
            "note",
            "not an evrun server: https://evals.example/healthz answers 200 (text/html)",
        ),
        (
            b'{"status": "ok"}',
            "note",
            "not an evrun server: https://evals.example/healthz answers 200 (text/html)",
        ),
        (
            b"7",
            "note",
            "not an evrun server: https://evals.example/healthz answers 200 (text/html)",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_whose_server_it_is(body: bytes, outcome: str, said: str) -> None:
    """A server that is not ours is a note, whatever it answers."""
    exchange = Exchange(
        url="https://evals.example/healthz",
        status=200,
        headers={"content-type": "text/html; charset=utf-8"},
        body=body,
    )
    found, server = diagnosis.server(exchange, URL)
    assert (found.status, found.said) == (outcome, said)
    assert (server is None) == (outcome == "note")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("[]", ""),
        ("null", ""),
        ('["drop after the commit: nth=1"]', " (drop after the commit: nth=1)"),
        (
            '["drop after the commit: nth=1", "a", "b"]',
            " (drop after the commit: nth=1, and 2 more)",
        ),
    ],
)
def test_a_server_that_fails_on_purpose_is_a_note(rules: str, said: str) -> None:
    """Also one that nobody has told yet what to fail; it is evrun's all the same."""
    body = f'{{"status": "ok", "version": "1", "contract": "c", "faults": {rules}}}'
    exchange = Exchange(url="https://evals.example/healthz", status=200, body=body.encode())
    found, server = diagnosis.server(exchange, URL)
    assert found == Finding(
        "server",
        "note",
        f"evrun 1 was started to fail requests on purpose{said}",
        "Unless this is a test, start it without --faults.",
    )
    assert server == Server("1", "c")


def test_the_other_scheme_is_offered_when_no_http_comes_back() -> None:
    """A port that connects and does not speak HTTP may want the other scheme."""
    exchange = Exchange(
        url="http://evals.example/healthz", error=httpx.RemoteProtocolError("Server left.")
    )
    found, _ = diagnosis.server(exchange, URL)
    assert found == Finding(
        "server",
        "failed",
        "no HTTP answer: Server left",
        "Something else may listen there; or write https:// in EVRUN_BASE_URL.",
    )


def test_another_contract_names_both_sides() -> None:
    """Which side is older is for people to see: both versions and both hashes are shown."""
    found = diagnosis.contract(Server("0.1.0", "b" * 64), OWN)
    assert found == Finding(
        "contract",
        "failed",
        "the server (evrun 0.1.0) follows bbbbbbbbbbbb…, this client (evrun 0.2.0) aaaaaaaaaaaa…",
        "Bring both to one version: pip install --upgrade evrun, on the older side.",
    )
    assert diagnosis.contract(OWN, OWN).status == "passed"
    assert diagnosis.contract(None, OWN).status == "skipped"


def answered(kind: type[errors.StatusError], status: int, body: str = "") -> errors.StatusError:
    return kind(f"answered {status}.", request=ASKED, status=status, body=body)


CREATE = (
    "`evrun keys create NAME --database URL` makes one, with the URL that the server was "
    "started with; set EVRUN_API_KEY to it."
)


@pytest.mark.parametrize(
    ("error", "server", "said", "fix"),
    [
        (
            answered(errors.AuthenticationError, 401, '{"detail": "This key was revoked."}'),
            OWN,
            "the key is refused (401: This key was revoked)",
            CREATE,
        ),
        (
            answered(errors.AuthenticationError, 401, "<html>"),
            None,
            "the key is refused (401)",
            "Make one in the settings of that server, and set EVRUN_API_KEY to it.",
        ),
        (
            answered(errors.PermissionDeniedError, 403),
            OWN,
            "the key may not list projects (403)",
            "Use a key that may read.",
        ),
        (
            answered(errors.NotFoundError, 404),
            None,
            "there is no v4 API at https://evals.example/v4 (404)",
            "Check EVRUN_BASE_URL: it is where the v4 API itself answers, without a redirect.",
        ),
        (
            answered(errors.RedirectError, 302),
            None,
            "answered 302.",
            "Check EVRUN_BASE_URL: it is where the v4 API itself answers, without a redirect.",
        ),
        (
            errors.DecodeError("no JSON.", request=ASKED, status=200),
            None,
            "no JSON.",
            "Check EVRUN_BASE_URL: it is where the v4 API itself answers, without a redirect.",
        ),
        (
            answered(errors.ServerError, 503),
            OWN,
            "answered 503.",
            "Ask again later; the server's log says more.",
        ),
        (
            errors.DisconnectedError("broke.", request=ASKED),
            OWN,
            "broke.",
            "Ask again later; the server's log says more.",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_ways_to_be_refused(
    error: errors.EvrunError, server: Server | None, said: str, fix: str
) -> None:
    """What a program's call would raise is told with its way out."""
    assert diagnosis.access(error, URL, KEY, server) == Finding("access", "failed", said, fix)


def test_an_address_without_the_version_is_completed() -> None:
    """The address that is missing its end is the commonest mistake: it is written out."""
    url = Setting("http://127.0.0.1:8000", "EVRUN_BASE_URL", "EVRUN_BASE_URL")
    found = diagnosis.access(answered(errors.NotFoundError, 404), url, KEY, OWN)
    assert found.fix == "Addresses end in /v4: set EVRUN_BASE_URL to http://127.0.0.1:8000/v4."


def test_a_setting_that_clients_refuse() -> None:
    """The client's own sentence is shown; its second half is what to do."""
    whole = errors.ConfigurationError("No API key. Set EVRUN_API_KEY.")
    assert diagnosis.unusable("key", whole, "EVRUN_API_KEY") == Finding(
        "key", "failed", "No API key", "Set EVRUN_API_KEY."
    )
    half = errors.ConfigurationError("base_url 'x?y' has a query or fragment; leave it out.")
    assert diagnosis.unusable("address", half, "--base-url").fix == "Correct --base-url."
