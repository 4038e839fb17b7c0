"""Which proxy is on the way, and which settings of one are refused. Nothing connects."""

from __future__ import annotations

import sys

import httpx
import pytest

from evrun import ConfigurationError
from evrun._transport.proxies import Via, from_environment, read


def via(url: str) -> str | None:
    """Return the proxy's address, and the variable that it comes from."""
    found = from_environment(url)
    return None if found is None else f"{found.source}: {found.proxy.url}"


@pytest.mark.parametrize(
    ("variable", "value", "url", "expected"),
    [
        ("HTTP_PROXY", "http://p:3128", "http://a/v4", "HTTP_PROXY: http://p:3128"),
        ("http_proxy", "p:3128", "http://a/v4", "http_proxy: http://p:3128"),
        ("HTTP_PROXY", "p", "http://a/v4", "HTTP_PROXY: http://p"),
        ("HTTPS_PROXY", "https://p:65535", "https://a/v4", "HTTPS_PROXY: https://p:65535"),
        ("https_proxy", "http://[::1]:1", "https://a/v4", "https_proxy: http://[::1]:1"),
        ("ALL_PROXY", "socks5h://p:1080", "https://a/v4", "ALL_PROXY: socks5h://p:1080"),
        ("all_proxy", "me:secret@p:1", "http://a/v4", "all_proxy: http://p:1"),
        ("HTTP_PROXY", "http://p:1", "https://a/v4", None),
        ("HTTP_PROXY", "nonsense://", "https://a/v4", None),  # it is not this one's
        ("HTTP_PROXY", "", "http://a/v4", None),
    ],
)
def test_the_variables_of_a_proxy(
    variable: str, value: str, url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the scheme, then those of all; a proxy without a scheme speaks HTTP."""
    monkeypatch.setenv(variable, value)
    assert via(url) == expected


def test_the_scheme_comes_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a lower-case name before the other."""
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert via("http://a") == "ALL_PROXY: http://all:1"
    monkeypatch.setenv("HTTP_PROXY", "http://upper:1")
    assert via("http://a") == "HTTP_PROXY: http://upper:1"
    monkeypatch.setenv("http_proxy", "http://me:secret@lower:1")
    assert via("http://a") == "http_proxy: http://lower:1"
    found = from_environment("http://a")
    assert found is not None
    assert found.proxy.auth == ("me", "secret")


@pytest.mark.parametrize(
    ("no_proxy", "host", "excepted"),
    [
        ("*", "a.test", True),
        ("a.test", "a.test", True),
        ("a.test", "b.a.test", True),
        (".a.test", "b.a.test", True),
        ("a.test", "ba.test", False),
        ("A.TEST", "a.test", True),
        (" x , a.test ", "a.test", True),
        ("a.test:8000", "a.test:8000", True),
        ("a.test:8000", "a.test:8001", False),
        ("a.test:80", "a.test", True),
        ("localhost", "localhost:8000", True),
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1:8000", "127.0.0.1:8000", True),
        ("127.0.0.1:8000", "127.0.0.1:8001", False),
        ("127.0.0.0/8", "127.1.2.3:8000", True),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8,fd00::/8,.svc", "a.svc", True),
        ("10.0.0.0/8,fd00::/8", "a.test", False),
        ("::1", "[::1]:8000", True),
        ("[::1]", "[::1]:8000", True),
        ("[::1]:8000", "[::1]:8000", True),
        ("[::1]:8001", "[::1]:8000", False),
        ("0:0:0:0:0:0:0:1", "[::1]", True),
        ("fd00::/8", "[fd12::1]", True),
        ("fd00::/8", "[fe80::1]", False),
        ("", "a.test", False),
    ],
)
def test_no_proxy(
    no_proxy: str, host: str, excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names with what is below them, addresses and networks of both kinds, some with a port."""
    monkeypatch.setenv("HTTP_PROXY", "http://p:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (via(f"http://{host}/v4") is None) is excepted


def test_an_exception_makes_a_broken_proxy_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not used is not refused."""
    monkeypatch.setenv("HTTP_PROXY", "nonsense://")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert via("http://127.0.0.1:8000/v4") is None
    with pytest.raises(ConfigurationError):
        via("http://a.test/v4")


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "10.0.0/8", "http://a.test", "[a]", "fd00::/x"])
def test_an_entry_of_no_proxy_that_means_nothing(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, rather than passed over; without a proxy it does not matter."""
    monkeypatch.setenv("no_proxy", f"127.0.0.1,{entry}")
    assert via("http://a.test/v4") is None
    monkeypatch.setenv("ALL_PROXY", "http://p:3128")
    with pytest.raises(ConfigurationError) as caught:
        via("http://a.test/v4")
    assert str(caught.value) == (
        f"no_proxy has the entry {entry!r}. Expected a host such as example.com, an address such "
        "as ::1, or a network such as 10.0.0.0/8."
    )


EXPECTED = "is not the address of a proxy. Expected one such as http://host:3128 or "


@pytest.mark.parametrize(
    ("value", "shown", "hint"),
    [
        ("socks://p:1", "'socks://p:1'", "Its scheme 'socks' is not one of http, https, socks5"),
        ("ftp://p", "'ftp://p'", "Its scheme 'ftp' is not one of"),
        ("http://", "'http://'", ""),
        (":3128", "':3128'", ""),
        ("//p:1", "'//p:1'", ""),
        ("http://p:0", "'http://p:0'", ""),
        ("http://p:65536", "'http://p:65536'", ""),
        ("p:x", "'p:x'", ""),
        ("http://a b:1", "'http://a b:1'", ""),
        ("http://me:secret@p:x", "'http://…@p:x'", "Write special characters of the user"),
        ("http://me:se/cret@p:1", "'http://…@p:1'", "%2F (/)."),
        ("me:se/cret@p:1", "'…@p:1'", ""),
        ("socks://me:secret@p:1", "'socks://…@p:1'", "Its scheme"),
    ],
)
def test_what_is_not_the_address_of_a_proxy(
    value: str, shown: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, its value without a password, and what to write."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigurationError) as caught:
        via("https://a.test/v4")
    said = str(caught.value)
    assert said.startswith(f"HTTPS_PROXY={shown} {EXPECTED}")
    assert hint in said
    assert "cret" not in said


@pytest.mark.parametrize("value", ["p:3128", "127.0.0.1:3128"])
def test_an_argument_has_a_scheme(value: str) -> None:
    """As for httpx; what to write before it is said."""
    with pytest.raises(ConfigurationError, match=r"Begin it with http://\.$|Its scheme"):
        read(value, "proxy")


def test_a_socks_proxy_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is named, and who does without it."""
    found = Via(httpx.Proxy("socks5://me:secret@p:1080"), "ALL_PROXY")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigurationError) as caught:
        found.check_httpx()
    assert str(caught.value) == (
        "ALL_PROXY: the SOCKS proxy socks5://p:1080 needs the package socksio. Install it with: "
        "pip install 'httpx[socks]'. Or pass transport=\"fast\", which needs no package for that."
    )
    Via(httpx.Proxy("http://p:3128"), "ALL_PROXY").check_httpx()
