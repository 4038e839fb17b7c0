"""Proxies, TLS and the pool, over real sockets: what httpx users know works the same here."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
from attrs import frozen

from _support.fake_api import BASE_URL, KEY, FakeApi
from _support.forward_proxy import ForwardProxy
from _support.loopback_server import LOGGED, PAGE, Answer, Loopback, Seen, running, usual
from _support.sync_and_async import ask, log
from evrun import AsyncEvrun, ConfigurationError, ConnectError, Evrun, PoolTimeoutError, StatusError
from evrun._transport.connection_settings import ConnectionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _support.sync_and_async import Kind


@pytest.fixture(params=["sync", "async", "sync over fast", "async over fast"])
def kind(request: pytest.FixtureRequest) -> Kind:
    name: Kind = request.param
    return name


@pytest.fixture
def server() -> Iterator[Loopback]:
    with running(Loopback()) as server:
        yield server


@pytest.fixture
def proxy(server: Loopback) -> Iterator[ForwardProxy]:
    with running(ForwardProxy(server.origin)) as proxy:
        yield proxy


@frozen
class Authority:
    """A certificate authority of our own, with its files."""

    file: str
    folder: str
    client_file: str
    """Certificate and key of a client, in one file."""
    client_pair: tuple[str, str]
    stranger: str
    """A client that another authority vouches for."""
    server: trustme.LeafCert
    trust: Callable[[ssl.SSLContext], None]

    def context(self, *, demanding: bool = False, version: str = "TLSv1_3") -> ssl.SSLContext:
        """Return a server's context; a demanding one lets only known clients in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion[version]
        self.server.configure_cert(context)
        if demanding:
            context.verify_mode = ssl.CERT_REQUIRED
            self.trust(context)
        return context


SUBJECT_HASH = "e1a63899.0"
"""What OpenSSL calls the authority below in a folder (`openssl x509 -hash`)."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    ours = trustme.CA(
        organization_name="evrun tests", organization_unit_name="a folder of authorities"
    )
    (folder / "trusted").mkdir()
    ours.cert_pem.write_to_path(str(folder / "trusted" / SUBJECT_HASH))
    ours.cert_pem.write_to_path(str(folder / "ca.pem"))
    client = ours.issue_cert("client.test")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.crt"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    stranger = trustme.CA().issue_cert("client.test")
    stranger.private_key_and_cert_chain_pem.write_to_path(str(folder / "stranger.pem"))
    return Authority(
        file=str(folder / "ca.pem"),
        folder=str(folder / "trusted"),
        client_file=str(folder / "client.pem"),
        client_pair=(str(folder / "client.crt"), str(folder / "client.key")),
        stranger=str(folder / "stranger.pem"),
        server=ours.issue_cert("127.0.0.1", "evrun.invalid"),
        trust=ours.configure_trust,
    )


@pytest.fixture
def secure(authority: Authority) -> Iterator[Loopback]:
    with running(Loopback(context=authority.context())) as server:
        yield server


# Proxies. The host evrun.invalid is nowhere: only a proxy can reach it.


def test_a_proxy_that_is_passed_is_used(kind: Kind, server: Loopback, proxy: ForwardProxy) -> None:
    """Requests go to the server through `proxy=`, key and body included."""
    log(kind, "http://evrun.invalid/v4", proxy=proxy.url)
    assert proxy.asked == ["POST http://evrun.invalid/v4/evaluations/evrun_1/log HTTP/1.1"]
    (seen,) = server.seen
    assert (seen.json, seen.headers["x-api-key"]) == ({"datapoint_id": "1", "log": {}}, KEY)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_used(
    kind: Kind, proxy: ForwardProxy, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our transport does not switch off httpx's own reading of the environment."""
    monkeypatch.setenv(variable, proxy.url)
    ask(kind, "http://evrun.invalid/v4")
    assert len(proxy.asked) == 1


def test_no_proxy_names_who_is_reached_without(
    kind: Kind, server: Loopback, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host in NO_PROXY is asked directly; `test_proxies` has all forms of its entries."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "fd00::/8,[::1],127.0.0.0/8")
    ask(kind, server.base_url)
    assert (len(proxy.asked), len(server.seen)) == (0, 1)


def test_the_environment_can_be_left_out(
    kind: Kind, server: Loopback, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `trust_env=False` no proxy of the environment is used."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    ask(kind, server.base_url, trust_env=False)
    assert (len(proxy.asked), len(server.seen)) == (0, 1)


@pytest.mark.parametrize("named", ["argument", "environment"])
def test_tls_goes_through_a_tunnel(
    kind: Kind,
    secure: Loopback,
    authority: Authority,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Towards https the proxy sees CONNECT and a host, and neither key nor path."""
    with running(ForwardProxy(secure.origin)) as proxy:
        if named == "environment":
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        settings = {"proxy": proxy.url} if named == "argument" else {}
        log(kind, "https://evrun.invalid/v4", verify=authority.file, **settings)
    assert proxy.asked == ["CONNECT evrun.invalid:443 HTTP/1.1"]
    assert "x-api-key" not in proxy.headers[0]
    assert [seen.headers["x-api-key"] for seen in secure.seen] == [KEY]


def test_a_proxys_password_goes_to_the_proxy_alone(kind: Kind, server: Loopback) -> None:
    """User and password in the proxy's address are its own; the server never sees them."""
    with running(ForwardProxy(server.origin, password="me:secret")) as proxy:
        ask(kind, "http://evrun.invalid/v4", proxy=proxy.url.replace("//", "//me:secret@"))
        ask(kind, "http://evrun.invalid/v4", proxy=httpx.Proxy(proxy.url, auth=("me", "secret")))
    assert len(server.seen) == 2
    assert all("proxy-authorization" not in seen.headers for seen in server.seen)


def test_a_proxy_that_refuses_says_where_to_look(kind: Kind, secure: Loopback) -> None:
    """A refused tunnel is an error before anything was sent, and names the proxy's settings."""
    with (
        running(ForwardProxy(secure.origin, password="me:secret")) as proxy,
        pytest.raises(ConnectError) as caught,
    ):
        log(kind, "https://evrun.invalid/v4", proxy=proxy.url, max_retries=0)
    reason = "tunnel error: proxy authorization required"
    if not kind.endswith("fast"):
        reason = "407 Proxy Authentication Required"
    assert str(caught.value) == (
        "POST https://evrun.invalid/v4/evaluations/evrun_1/log: cannot connect "
        f"({reason}). Nothing was sent. "
        f"The proxy {proxy.url} of proxy=… refused: check it, and the user and password in it."
    )
    assert secure.accepted == 0


@pytest.mark.parametrize("source", ["HTTP_PROXY", "all_proxy", "proxy=…"])
def test_a_proxy_that_is_not_there_is_named(
    kind: Kind, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With where it was set and without its password; a server is not what is missing."""
    url, settings = f"http://127.0.0.1:{closed_port()}", {}
    dead = url.replace("//", "//me:secret@")
    if source == "proxy=…":
        settings["proxy"] = dead
    else:
        monkeypatch.setenv(source, dead)
    with pytest.raises(ConnectError) as caught:
        ask(kind, "http://127.0.0.1:1/v4", max_retries=0, **settings)
    said = f"Nothing was sent. The request goes through the proxy {url} of {source}. Is it there?"
    if source != "proxy=…":
        said += " To reach 127.0.0.1 without a proxy, add it to NO_PROXY."
    assert str(caught.value).endswith(said)


def closed_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_proxy_that_answers_itself_is_named(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local server behind a proxy that does not know it, or a proxy that wants a password."""
    with running(ForwardProxy(server.origin, password="me:secret")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(StatusError) as caught:
            ask("sync", server.base_url)
    assert str(caught.value).endswith(
        f"answered 407. The proxy {proxy.url} of HTTP_PROXY may have answered this itself. To "
        "reach 127.0.0.1 without a proxy, add it to NO_PROXY."
    )
    assert server.seen == []


UNUSABLE = {
    "HTTP_PROXY": "socks://me:secret@127.0.0.1:1",
    "SSL_CERT_FILE": "/no/such/ca.pem",
}


@pytest.mark.parametrize("variable", UNUSABLE)
def test_what_brings_its_own_connections_does_not_mind_the_environment(
    server: Loopback, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the embedded server, nor whoever leaves the environment out."""
    http_client = httpx.Client()
    monkeypatch.setenv(variable, UNUSABLE[variable])
    with pytest.raises(ConfigurationError, match=f"{variable}='"):
        Evrun(api_key=KEY, base_url=server.base_url)
    ask("sync", server.base_url, http_client=http_client)
    ask("sync", server.base_url, trust_env=False)
    ask("sync", BASE_URL, transport=httpx.MockTransport(FakeApi(200, PAGE)))
    with Evrun.local(tmp_path / "evals.db") as client:
        assert client.projects.list().total == 0
    http_client.close()


# TLS.


def test_an_unknown_authority_is_an_error_at_once(kind: Kind, secure: Loopback) -> None:
    """An untrusted server gets nothing, is not asked again, and the error says what to do."""
    with pytest.raises(ConnectError) as caught:
        log(kind, secure.base_url)
    reason = "invalid peer certificate" if kind.endswith("fast") else "[SSL: CERTIFICATE_VERIFY_"
    assert str(caught.value).startswith(
        f"POST {secure.base_url}/evaluations/evrun_1/log: cannot connect ({reason}"
    )
    assert str(caught.value).endswith(
        "Nothing was sent. Is this the right server? If it has a certificate of your own "
        "authority, pass its file as verify=…, or set SSL_CERT_FILE."
    )
    assert (caught.value.attempts, secure.accepted, secure.seen) == (1, 1, [])


def test_another_hosts_certificate_is_refused(kind: Kind, tmp_path: Path) -> None:
    """The name is checked too: a good certificate for somebody else is no good."""
    elsewhere = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    elsewhere.issue_cert("elsewhere.test").configure_cert(context)
    elsewhere.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with (
        running(Loopback(context=context)) as server,
        pytest.raises(ConnectError, match=r"not valid for (name )?[\"']127\.0\.0\.1") as caught,
    ):
        ask(kind, server.base_url, verify=str(tmp_path / "ca.pem"))
    assert caught.value.attempts == 1


def test_https_to_a_server_without_tls_says_so(kind: Kind, server: Loopback) -> None:
    """A wrong scheme is a common slip: one attempt, and the right question."""
    with pytest.raises(ConnectError, match="is it http://… instead of https://") as caught:
        ask(kind, server.base_url.replace("http:", "https:"))
    assert caught.value.attempts == 1


@pytest.mark.parametrize("verify", ["file", "folder", "nothing"])
def test_whom_to_trust_is_said_as_for_httpx(
    kind: Kind, secure: Loopback, authority: Authority, verify: str
) -> None:
    """`verify` is a file, a folder, or False for a server in a laboratory."""
    value: Any = {"file": authority.file, "folder": authority.folder, "nothing": False}[verify]
    ask(kind, secure.base_url, verify=value)
    assert len(secure.seen) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_whom_to_trust_may_be_a_context(kind: Kind, secure: Loopback, authority: Authority) -> None:
    """`verify` is an `ssl.SSLContext` too, over httpx."""
    ask(kind, secure.base_url, verify=ssl.create_default_context(cafile=authority.file))
    assert len(secure.seen) == 1


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_whom_to_trust_may_stand_in_the_environment(
    kind: Kind,
    secure: Loopback,
    authority: Authority,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SSL_CERT_FILE and SSL_CERT_DIR are followed, unless `trust_env=False`."""
    place = authority.file if variable == "SSL_CERT_FILE" else authority.folder
    monkeypatch.setenv(variable, place)
    ask(kind, secure.base_url)
    if kind.endswith("fast"):  # rustls follows them always: that is refused, not done in silence
        with pytest.raises(ConfigurationError, match=f"follows {variable} all the same"):
            ask(kind, secure.base_url, trust_env=False)
    else:
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(kind, secure.base_url, trust_env=False)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("form", ["file", "pair"])
def test_a_client_shows_its_certificate(
    kind: Kind, authority: Authority, form: str, version: str
) -> None:
    """A server that demands certificates lets in who has one: `cert=` is a file or a pair."""
    cert = authority.client_file if form == "file" else authority.client_pair
    context = authority.context(demanding=True, version=version)
    with running(Loopback(context=context)) as server:
        ask(kind, server.base_url, verify=authority.file, cert=cert)
    assert len(server.seen) == 1


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("cert", ["none", "stranger"])
def test_a_client_without_the_right_certificate_learns_it(
    kind: Kind, authority: Authority, cert: str, version: str
) -> None:
    """No certificate, or a stranger's: one attempt that did nothing, in every version of TLS."""
    shown = {"cert": authority.stranger} if cert == "stranger" else {}
    context = authority.context(demanding=True, version=version)
    with (
        running(Loopback(context=context)) as server,
        pytest.raises(ConnectError) as caught,
    ):
        log(kind, server.base_url, verify=authority.file, **shown)
    assert str(caught.value).endswith(
        "Nothing was sent. The server asks for a client certificate that it trusts: "
        "pass cert=… (a file, or a pair of certificate and key)."
    )
    assert (caught.value.attempts, caught.value.sent, server.seen) == (1, False, [])


def test_clients_with_the_same_settings_share_a_tls_context(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading certificates costs more than a hundred calls: it is done once for each setting."""
    first = ConnectionSettings(verify=authority.file).tls_context()
    assert ConnectionSettings(verify=authority.file, concurrency=2).tls_context() is first
    assert (
        ConnectionSettings(verify=authority.file, cert=authority.client_file).tls_context()
        is not first
    )
    usual = ConnectionSettings().tls_context()
    monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    assert ConnectionSettings().tls_context() is not usual
    assert ConnectionSettings(trust_env=False).tls_context() is not first


def test_a_renewed_certificate_is_read_anew(authority: Authority, tmp_path: Path) -> None:
    """A process that outlives its certificate makes new clients with the new one."""
    cert = tmp_path / "client.pem"
    trustme.CA().issue_cert("old.test").private_key_and_cert_chain_pem.write_to_path(str(cert))
    settings = ConnectionSettings(verify=authority.file, cert=str(cert))
    old = settings.tls_context()
    trustme.CA().issue_cert("new.test").private_key_and_cert_chain_pem.write_to_path(str(cert))
    assert settings.tls_context() is not old
    assert settings.tls_context() is settings.tls_context()


@pytest.mark.parametrize("setting", ["verify", "cert"])
def test_certificates_that_cannot_be_loaded_are_named(
    kind: Kind, setting: str, tmp_path: Path
) -> None:
    """A wrong path is our error at the first request: which setting, what is wrong, what it is."""
    path = str(tmp_path / "missing.pem")
    with pytest.raises(ConfigurationError) as caught:
        ask(kind, "https://127.0.0.1:1/v4", **{setting: path})
    assert str(caught.value) == (
        f"{setting}={path!r}: cannot be loaded ([Errno 2] No such file or directory). verify is a "
        "file or folder of certificates in PEM form; cert is a PEM file with the key, or a pair."
    )


@pytest.mark.parametrize("fast", [{}, {"transport": "fast"}], ids=["httpx", "fast"])
@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("SSL_CERT_FILE", "file. Set it to a file of certificates in PEM form, or unset it."),
        (
            "SSL_CERT_DIR",
            "folder. Set it to a folder of certificates that `openssl rehash` was run in, or unset "
            "it.",
        ),
    ],
)
def test_whom_the_environment_trusts_is_looked_for(
    variable: str, said: str, fast: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL passes over a folder that is not there; we say so when the client is made."""
    path = str(tmp_path / "missing")
    monkeypatch.setenv(variable, path)
    assert refused(**fast) == f"{variable}={path!r} is not a {said}"


def test_a_file_of_the_environment_without_certificates_is_named(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only loading it shows comes with the first request."""
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(ConfigurationError, match="^SSL_CERT_FILE='.*empty.pem': cannot be loaded"):
        ask(kind, "https://127.0.0.1:1/v4")


# Settings that cannot be followed.


def refused(**settings: Any) -> str:
    """Return why both kinds of client refuse to be made."""
    said = set()
    for cls in (Evrun, AsyncEvrun):
        with pytest.raises(ConfigurationError) as caught:
            cls(api_key=KEY, base_url=BASE_URL, **settings)
        said.add(str(caught.value))
    (message,) = said
    return message


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "8", None])
def test_concurrency_is_a_whole_number(concurrency: Any) -> None:
    """Nonsense is refused when the client is made."""
    expected = f"concurrency={concurrency!r}: expected a whole number from 1 to 100,000."
    assert refused(concurrency=concurrency) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verify": None}, "verify=None: expected a bool, a path as a str, or an ssl.SSLContext."),
        ({"verify": 1}, "verify=1: expected a bool, a path as a str, or an ssl.SSLContext."),
        (
            {"cert": ("a.crt", "a.key", "a password")},
            "cert: expected a path as a str, or a pair of them (certificate, key). If the key has "
            "a password, load both into an ssl.SSLContext, and pass that as verify=….",
        ),
        (
            {"cert": "a.pem", "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
            "cert=… has no effect beside verify=<SSLContext>: call its load_cert_chain(…) instead.",
        ),
    ],
    ids=["none", "number", "password", "both"],
)
def test_tls_settings_that_cannot_be_followed_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    """What would be dropped, or fail in the middle of a run, is said when the client is made."""
    assert refused(**settings) == message


SETTINGS: dict[str, Any] = {
    "proxy": "http://127.0.0.1:1",
    "verify": False,
    "cert": "client.pem",
    "trust_env": False,
    "concurrency": 7,
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_transport_would_drop_is_refused(setting: str) -> None:
    """Httpx ignores these beside a transport; we say where they belong."""
    transport = httpx.MockTransport(FakeApi())
    assert refused(transport=transport, **{setting: SETTINGS[setting]}) == (
        f"{setting}=… has no effect beside transport=…: set it up in the transport itself."
    )


@pytest.mark.parametrize("setting", [*SETTINGS, "transport"])
def test_what_an_http_client_would_drop_is_refused(setting: str) -> None:
    """A client of the user's own is set up by the user."""
    given: dict[str, Any] = {setting: SETTINGS.get(setting, "fast")}
    message = (
        f"{setting}=… has no effect beside http_client=…: set it up in the http_client itself."
    )
    with pytest.raises(ConfigurationError) as caught:
        Evrun(api_key=KEY, base_url=BASE_URL, http_client=FakeApi().http_client(), **given)
    assert str(caught.value) == message
    with pytest.raises(ConfigurationError) as caught:
        AsyncEvrun(
            api_key=KEY, base_url=BASE_URL, http_client=FakeApi().async_http_client(), **given
        )
    assert str(caught.value) == message


# What sends in our place.


def test_a_transport_of_ones_own_sends(kind: Kind) -> None:
    """`transport=` gets every request; typed errors and results stay."""
    api = FakeApi(200, PAGE)
    assert ask(kind, BASE_URL, transport=httpx.MockTransport(api)) == 0
    assert len(api.requests) == 1


def test_an_http_client_of_ones_own_sends_with_its_settings(
    kind: Kind, secure: Loopback, authority: Authority
) -> None:
    """`http_client=` keeps what it was set up with: here TLS, hooks and headers of its own."""
    hooked: list[str] = []

    def hook(request: httpx.Request) -> None:
        hooked.append(request.method)

    async def async_hook(request: httpx.Request) -> None:
        hook(request)

    context = ssl.create_default_context(cafile=authority.file)

    async def awaited() -> None:
        async with (
            httpx.AsyncClient(verify=context, event_hooks={"request": [async_hook]}) as http_client,
            AsyncEvrun(api_key=KEY, base_url=secure.base_url, http_client=http_client) as client,
        ):
            await client.projects.list()
            await client.aclose()
            assert not http_client.is_closed

    if kind == "sync":
        with httpx.Client(verify=context, event_hooks={"request": [hook]}) as http_client:
            ask(kind, secure.base_url, http_client=http_client)
            assert not http_client.is_closed
    else:
        asyncio.run(awaited())
    assert (hooked, len(secure.seen)) == (["GET"], 1)


# The pool.

N = 12


class Holding:
    """Answers nobody before it is told to."""

    def __init__(self) -> None:
        self.full, self.release = Event(), Event()
        self.server = Loopback(self)

    def __call__(self, seen: Seen) -> Answer:
        if len(self.server.seen) >= N:
            self.full.set()
        self.release.wait(30)
        return usual(seen)


TOO_MANY = (
    "no free connection within 0.2 s. Nothing was sent. "
    "Use fewer threads or tasks per client, or raise its concurrency=…."
)


def test_the_pool_is_as_large_as_asked() -> None:
    """So many threads are served at a time; one more waits, and learns what was too small."""
    holding = Holding()
    with (
        running(holding.server) as server,
        ThreadPoolExecutor(N) as threads,
        Evrun(
            api_key=KEY,
            base_url=server.base_url,
            concurrency=N,
            timeout=httpx.Timeout(30, pool=0.2),
        ) as client,
    ):
        calls = [threads.submit(client.projects.list) for _ in range(N)]
        assert holding.full.wait(20)
        with pytest.raises(PoolTimeoutError) as caught:
            client.with_options(max_retries=0).projects.list()
        holding.release.set()
        assert [call.result(20).total for call in calls] == [0] * N
        assert list(threads.map(lambda _: client.projects.list().total, range(N))) == [0] * N
    assert str(caught.value).endswith(TOO_MANY)
    assert (server.connections, len(server.seen)) == (N, 2 * N)


def test_the_async_pool_is_as_large_as_asked() -> None:
    """The same for tasks."""
    holding = Holding()

    async def main(base_url: str) -> str:
        async with AsyncEvrun(
            api_key=KEY,
            base_url=base_url,
            concurrency=N,
            timeout=httpx.Timeout(30, pool=0.2),
        ) as client:
            calls = [asyncio.ensure_future(client.projects.list()) for _ in range(N)]
            assert await asyncio.to_thread(holding.full.wait, 20)
            with pytest.raises(PoolTimeoutError) as caught:
                await client.with_options(max_retries=0).projects.list()
            holding.release.set()
            assert [page.total for page in await asyncio.gather(*calls)] == [0] * N
            await asyncio.gather(*(client.projects.list() for _ in range(N)))
        return str(caught.value)

    with running(holding.server) as server:
        message = asyncio.run(main(server.base_url))
    assert message.endswith(TOO_MANY)
    assert (server.connections, len(server.seen)) == (N, 2 * N)


def test_what_the_loopback_server_answers_is_what_the_contract_says() -> None:
    """The fakes of this folder answer what the clients accept: a log and a page."""
    with running(Loopback()) as server:
        assert log("sync", server.base_url).id == LOGGED["id"]
        assert ask("async", server.base_url) == PAGE["total"]
