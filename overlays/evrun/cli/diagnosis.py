"""What `evrun doctor` concludes: facts in, findings out. No I/O.

A failed finding says what is wrong and what to do.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from attrs import Factory, frozen

from evrun import errors
from evrun._transport.address import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FindingStatus = Literal["passed", "note", "failed", "skipped"]

CHECKS: Final = ("address", "key", "network", "TLS", "server", "contract", "access")
"""In the order in which they are made and shown."""

EXPIRES_SOON: Final = 14 * 86_400.0
"""Seconds before a certificate expires, in which the finding is a note."""

_OUR_KEY = "evk_"
_OUR_KEY_LENGTH = 36  # at least, with the prefix
_SHOWN_OF_OURS = 12  # characters, as `evrun keys list` shows them
_SHOWN_OF_OTHERS = 4
_OWN_SERVER = "`evrun serve` starts a server of your own"

# OpenSSL's numbers (X509_V_ERR_…). They are more stable than its messages.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})


@frozen
class Finding:
    """The result of one check."""

    check: str
    status: FindingStatus
    said: str
    fix: str = ""
    """What to do; never empty if the check failed."""


@frozen
class Setting:
    """A value and its source."""

    value: str
    source: str
    """A variable, an option, or the default."""
    place: str
    """Where to set it: the variable or option."""


@frozen(kw_only=True)
class Reach:
    """An attempt at a TCP connection."""

    host: str
    port: int
    proxy: str | None = None
    """The variable that sets a proxy; `host` and `port` are then the proxy's."""
    address: str | None = None
    """The connected IP address; None without a connection."""
    error: OSError | UnicodeError | None = None


@frozen(kw_only=True)
class Exchange:
    """A request that needs no key, and its answer."""

    url: str
    status: int | None = None
    """None if no answer came."""
    headers: Mapping[str, str] = Factory(dict)
    body: bytes = b""
    error: Exception | None = None
    tls: str | None = None
    """The protocol's version."""
    certificate: Mapping[str, Any] = Factory(dict)
    """As `ssl.SSLSocket.getpeercert` has it."""


@frozen
class Server:
    """An evrun server's version and contract, from `/healthz`."""

    version: str
    contract: str


def unusable(check: str, error: errors.ConfigurationError, place: str) -> Finding:
    """Return the finding on a setting that a client refuses. The error says what to do."""
    said, _, fix = str(error).partition(". ")
    return Finding(check, "failed", said.rstrip("."), fix or f"Correct {place}.")


def address(url: Setting) -> Finding:
    """Say where requests go."""
    return Finding("address", "passed", f"{url.value} (from {url.source})")


def key_form(key: Setting) -> Finding:
    """Say which key is sent, and whether it looks like one."""
    value = key.value
    if value[0] in "'\"" and value[0] == value[-1]:
        return Finding(
            "key",
            "failed",
            f"{key.place} has quotes around the key",
            f"Leave them out where {key.place} is set.",
        )
    if value.startswith(_OUR_KEY) and len(value) < _OUR_KEY_LENGTH:
        return Finding(
            "key",
            "failed",
            f"{key.place} is cut short: {len(value)} characters of at least {_OUR_KEY_LENGTH}",
            "Paste it whole; if it is lost, `evrun keys create NAME` makes another.",
        )
    kind = "" if value.startswith(_OUR_KEY) else ", not one that evrun makes"
    return Finding("key", "passed", f"{masked(value)} (from {key.source}{kind})")


def masked(key: str) -> str:
    """Return a key's first characters, too few to guess the rest."""
    if key.startswith(_OUR_KEY) and len(key) >= _OUR_KEY_LENGTH:
        return f"{key[:_SHOWN_OF_OURS]}…"
    return f"{key[:_SHOWN_OF_OTHERS]}…" if len(key) > 4 * _SHOWN_OF_OTHERS else "…"


def network(reach: Reach, url: Setting) -> Finding:
    """Say whether the server, or the proxy in front of it, accepts a connection."""
    at = f"{reach.host}, port {reach.port}"
    where = f"the proxy of {reach.proxy}, {at}" if reach.proxy else at
    place = reach.proxy or url.place
    error = reach.error
    if error is None:
        known = "" if reach.address in {None, reach.host} else f" ({reach.address})"
        return Finding("network", "passed", f"connected to {where}{known}")
    if isinstance(error, UnicodeError) or type(error).__name__ == "gaierror":
        said = f"the name {reach.host!r} has no address"
        fix = f"Check {place}, and this machine's name service or VPN; {_OWN_SERVER}."
    elif isinstance(error, ConnectionRefusedError):
        said = f"nobody listens on {where}"
        fix = f"Start the server there, or correct {place}; {_OWN_SERVER}."
    elif isinstance(error, TimeoutError):
        said = f"no connection to {where} in time"
        fix = f"A firewall or a missing VPN may be in the way; or correct {place}."
    else:
        said = f"no connection to {where}: {error.strerror or error}"
        fix = f"Check this machine's network, or correct {place}."
    return Finding("network", "failed", said, fix)


def encryption(exchange: Exchange, url: Setting, now: float) -> Finding:
    """Say whether TLS proves the server's identity. `now` is in seconds since 1970."""
    parts = urlsplit(exchange.url)
    if isinstance(exchange.error, errors.ConfigurationError):
        return unusable("TLS", exchange.error, "SSL_CERT_FILE")
    if parts.scheme == "http":
        return _plain(parts.hostname)
    if (refused := _tls_error(exchange.error)) is not None:
        return _refused(refused, parts.hostname, url)
    if exchange.tls is None:
        return skipped("TLS", "no answer")
    return _certificate(exchange, now)


def _plain(host: str | None) -> Finding:
    if host in LOOPBACK:
        return Finding("TLS", "skipped", "plain HTTP, which does not leave this machine")
    return Finding("TLS", "note", "plain HTTP: everyone on the way can read the key")


def _certificate(exchange: Exchange, now: float) -> Finding:
    ends = exchange.certificate.get("notAfter")
    if not isinstance(ends, str):
        return Finding("TLS", "passed", exchange.tls or "encrypted")
    left = ssl.cert_time_to_seconds(ends) - now
    issuer = _issuer(exchange.certificate.get("issuer", ()))
    said = f"{exchange.tls}, certificate of {issuer} for another {left / 86_400:.0f} days"
    if left < EXPIRES_SOON:
        return Finding("TLS", "note", said, "Renew it before it expires.")
    return Finding("TLS", "passed", said)


def _issuer(names: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Return the issuer's organisation or common name."""
    known = dict(pair for each in names for pair in each)
    return known.get("organizationName") or known.get("commonName") or "an unnamed authority"


def _refused(error: ssl.SSLError, host: str | None, url: Setting) -> Finding:
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        said = f"no TLS on that port ({reason})"
        fix = f"If the server speaks plain HTTP, write http:// in {url.place}."
        return Finding("TLS", "failed", said, fix)
    code, reason = error.verify_code, error.verify_message.rstrip(".")
    if code == _EXPIRED:
        said = "the certificate has expired"
        fix = "Renew it; if it is new, set this machine's clock."
    elif code == _NOT_YET_VALID:
        said, fix = "the certificate is not valid yet", "Set this machine's clock."
    elif code in _UNKNOWN_AUTHORITY:
        said = f"this machine does not trust the certificate's issuer ({reason})"
        fix = (
            "If the issuer is yours, set SSL_CERT_FILE to a PEM file with its certificate: "
            "evrun does not read the system's list."
        )
    elif code in _OTHER_NAME:
        said = f"the certificate is not for {host!r}"
        fix = f"Write a name of the certificate in {url.place}."
    else:
        said, fix = f"the certificate is refused: {reason}", "Replace the server's certificate."
    return Finding("TLS", "failed", said, fix)


def server(exchange: Exchange, url: Setting) -> tuple[Finding, Server | None]:
    """Say what kind of server answers. Another server than evrun's does not fail."""
    if exchange.status is None:
        other = "https" if exchange.url.startswith("http:") else "http"
        reason = str(exchange.error).rstrip(".") or type(exchange.error).__name__
        fix = f"Something else may listen there; or write {other}:// in {url.place}."
        return Finding("server", "failed", f"no HTTP answer: {reason}", fix), None
    said = _json(exchange.body) if exchange.status == 200 else None  # noqa: PLR2004
    if not isinstance(said, dict) or not {"version", "contract"} <= said.keys():
        kind = exchange.headers.get("content-type", "no content type").partition(";")[0]
        what = f"not an evrun server: {exchange.url} answers {exchange.status} ({kind})"
        return Finding("server", "note", what), None
    found = Server(str(said["version"]), str(said["contract"]))
    if said.get("status") != "ok":
        what = f"evrun {found.version} says that it is {said.get('status')!r}"
        return Finding("server", "failed", what, "Read that server's log."), found
    if "faults" in said:
        return _faulty(found.version, said["faults"]), found
    return Finding("server", "passed", f"evrun {found.version}"), found


def _faulty(version: str, rules: Any) -> Finding:
    """Note that a server was started to fail, which may be intended in a test."""
    said = f"evrun {version} was started to fail requests on purpose"
    if isinstance(rules, list) and rules:
        others = f", and {len(rules) - 1} more" if len(rules) > 1 else ""
        said += f" ({rules[0]}{others})"
    return Finding("server", "note", said, "Unless this is a test, start it without --faults.")


def contract(server: Server | None, own: Server) -> Finding:
    """Say whether the server follows the contract that this client was made from."""
    if server is None:
        return Finding("contract", "skipped", "not checked: only evrun servers report theirs")
    if server.contract == own.contract:
        return Finding("contract", "passed", f"the same on both sides ({own.contract[:12]}…)")
    said = (
        f"the server (evrun {server.version}) follows {server.contract[:12]}…, "
        f"this client (evrun {own.version}) {own.contract[:12]}…"
    )
    fix = "Bring both to one version: pip install --upgrade evrun, on the older side."
    return Finding("contract", "failed", said, fix)


def access(
    error: errors.EvrunError | None, url: Setting, key: Setting, server: Server | None
) -> Finding:
    """Say whether the API accepts the key. `error` is what listing a project raised."""
    if error is None:
        return Finding("access", "passed", "the key is accepted")
    if isinstance(error, errors.AuthenticationError):
        detail, _, _ = _detail(error).partition(". ")  # what to do is said below
        said = f"the key is refused ({error.status}{f': {detail}' if detail else ''})"
        return Finding("access", "failed", said, _new_key(key, server))
    if isinstance(error, errors.PermissionDeniedError):
        said = f"the key may not list projects ({error.status})"
        return Finding("access", "failed", said, "Use a key that may read.")
    if isinstance(error, errors.NotFoundError):
        said = f"there is no v4 API at {url.value} ({error.status})"
        return Finding("access", "failed", said, _address_fix(url))
    if isinstance(error, errors.RedirectError | errors.DecodeError):
        return Finding("access", "failed", str(error), _address_fix(url))
    fix = "Ask again later; the server's log says more."
    return Finding("access", "failed", str(error), fix)


def _new_key(key: Setting, server: Server | None) -> str:
    if server is None:
        return f"Make one in the settings of that server, and set {key.place} to it."
    return (
        "`evrun keys create NAME --database URL` makes one, with the URL that the server was "
        "started with; set EVRUN_API_KEY to it."
    )


def _address_fix(url: Setting) -> str:
    if url.value.endswith("/v4"):
        return f"Check {url.place}: it is where the v4 API itself answers, without a redirect."
    return f"Addresses end in /v4: set {url.place} to {url.value}/v4."


def _detail(error: errors.ResponseError) -> str:
    body = _json(error.body.encode())
    detail = body.get("detail") if isinstance(body, dict) else None
    return detail.rstrip(".") if isinstance(detail, str) else ""


def skipped(check: str, why: str) -> Finding:
    """Return the finding on a check that was not made."""
    return Finding(check, "skipped", f"not checked: {why}")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error that caused an HTTP library's error, if any."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
