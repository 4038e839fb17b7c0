from __future__ import annotations

from typing import Any

import httpx
import pytest

from evrun._transport.address import WAYS_TO_A_SERVER
from evrun._transport.settings import DEFAULT_TIMEOUT, Config, Secret, resolve
from evrun.errors import ConfigurationError

KEY = "evk_abcdefghijklmnopqrstuvwxyz0123456789"
URL = "http://127.0.0.1:8000/v4"


def settings(
    api_key: str | None = None,
    base_url: str | None = None,
    timeout: float | httpx.Timeout | None = None,
) -> Config:
    return resolve(api_key=api_key, base_url=base_url, timeout=timeout)


def test_what_is_passed_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments come before the environment."""
    monkeypatch.setenv("EVRUN_API_KEY", "evk_env")
    monkeypatch.setenv("EVRUN_BASE_URL", "http://env/v4")
    config = settings(KEY, "http://argument:8000/v4/")
    assert (config.api_key, config.base_url) == (KEY, "http://argument:8000/v4")


def test_the_environment_fills_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not passed comes from EVRUN_API_KEY and EVRUN_BASE_URL."""
    monkeypatch.setenv("EVRUN_API_KEY", KEY)
    monkeypatch.setenv("EVRUN_BASE_URL", "http://env/v4/")
    config = settings()
    assert (config.api_key, config.base_url) == (KEY, "http://env/v4")


def test_without_an_address_there_is_no_client() -> None:
    """There is no default address: the error names each way to a server, and why."""
    with pytest.raises(ConfigurationError) as caught:
        settings(KEY)
    assert str(caught.value) == (
        "No address. Pass base_url=… or set EVRUN_BASE_URL, such as http://127.0.0.1:8000/v4, "
        'where `evrun serve` listens. Or use Evrun.local("evals.db"), which needs no address. '
        "There is no default address: the vendor's hosted platform ended on 8 September 2025, and "
        "its data was deleted."
    )


def test_an_empty_variable_is_not_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """EVRUN_BASE_URL may be empty, as CI leaves what is unset; `base_url=""` is a mistake."""
    monkeypatch.setenv("EVRUN_BASE_URL", "")
    with pytest.raises(ConfigurationError, match="^No address"):
        settings(KEY)
    monkeypatch.setenv("EVRUN_BASE_URL", URL)
    with pytest.raises(ConfigurationError, match="^base_url='' is not an http"):
        settings(KEY, "")


def test_every_wait_is_limited() -> None:
    """By default 5 s to connect, and 60 s for all else."""
    timeout = settings(KEY, URL).options.timeout
    assert timeout == DEFAULT_TIMEOUT
    assert timeout.as_dict() == {"connect": 5, "read": 60, "write": 60, "pool": 60}


@pytest.mark.parametrize(
    "url",
    [
        "https://api.humanloop.com/v4",
        "https://API.Humanloop.com./v4",
        "https://humanloop.com",
        "http://eu.humanloop.com:8000/v4",
        "https://api。humanloop。com/v4",  # httpx reads an ideographic full stop as a dot
    ],
)
@pytest.mark.parametrize("source", ["base_url", "EVRUN_BASE_URL"])
@pytest.mark.parametrize("key", [KEY, "hl_sk_1"])
def test_nothing_is_sent_to_the_vendor(
    url: str, source: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's platform has ended: its hosts get neither a key nor data."""
    monkeypatch.setenv("EVRUN_BASE_URL", url)
    monkeypatch.setenv("EVRUN_API_KEY", key)
    with pytest.raises(ConfigurationError) as caught:
        settings(base_url=url if source == "base_url" else None)
    assert str(caught.value) == (
        f"{source}={url!r}: the vendor's hosted platform ended on 8 September 2025, and its data "
        f"was deleted. Nothing is sent there. {WAYS_TO_A_SERVER}"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v4",
        "http://localhost/v4",
        "http://LOCALHOST/v4",
        "http://[::1]:80/v4",
    ],
)
def test_the_vendors_key_goes_to_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HUMANLOOP_API_KEY is used where code for the vendor's SDK expects it."""
    monkeypatch.setenv("HUMANLOOP_API_KEY", "hl_sk_1")
    assert settings(base_url=url).api_key == "hl_sk_1"


@pytest.mark.parametrize(
    "url",
    [
        "https://evals.example.com/v4",
        "https://humanloop.com.evil.example/v4",
        "http://localhost.evil.example/v4",
        "http://127.0.0.1.evil.example/v4",
    ],
)
def test_the_vendors_key_goes_nowhere_else(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host never sees HUMANLOOP_API_KEY, and the error says so."""
    monkeypatch.setenv("HUMANLOOP_API_KEY", "hl_sk_1")
    with pytest.raises(
        ConfigurationError, match="HUMANLOOP_API_KEY is set, but it is sent to this machine only"
    ):
        settings(base_url=url)


def test_a_missing_key_names_the_argument_the_variable_and_the_command() -> None:
    """Whoever has no key learns the three ways to one."""
    with pytest.raises(ConfigurationError) as caught:
        settings(base_url=URL)
    assert str(caught.value) == (
        "No API key. Pass api_key=… or set EVRUN_API_KEY; "
        "`evrun keys create NAME` makes one for a server of your own."
    )


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "is empty. Give it a key; `evrun keys create NAME` makes one."),
        (b"evk_secret", "is of type bytes. Pass a str."),
        (3, "is of type int. Pass a str."),
        ("secret key", "has characters that no HTTP header can carry"),
        ("secret\n", "has characters that no HTTP header can carry"),
        ("schlüssel", "has characters that no HTTP header can carry"),
        ("\x00", "has characters that no HTTP header can carry"),
        ("http://secret/v4", "is an address. Were the key and the address swapped?"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused(key: Any, problem: str) -> None:
    """A badly pasted key fails before anything is sent, and is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        settings(key, URL)
    assert str(caught.value).startswith(f"api_key {problem}")
    assert "secret" not in str(caught.value)


def test_a_key_of_the_environment_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for the mistake learns where it is."""
    for name in ("HUMANLOOP_API_KEY", "EVRUN_API_KEY"):
        monkeypatch.setenv(name, "two words")
        with pytest.raises(ConfigurationError, match=f"^{name} has characters"):
            settings(base_url=URL)


_NAME = "has a host that is not a name"
_NO_ADDRESS = "is not an http(s) address"
_SPACE = "has white space or a control character in it. Remove it."


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (3, "=3 is not a str."),
        (b"http://h/v4", "=b'http://h/v4' is not a str."),
        ("evals.example.com/v4", f"='evals.example.com/v4' {_NO_ADDRESS}."),
        ("ftp://h/v4", f"='ftp://h/v4' {_NO_ADDRESS}."),
        ("http://", f"='http://' {_NO_ADDRESS}."),
        ("http:///v4", f"='http:///v4' {_NO_ADDRESS}."),
        ("http:h", f"='http:h' {_NO_ADDRESS}."),
        ("http://h:port/v4", f"='http://h:port/v4' {_NO_ADDRESS} (Invalid port: 'port')."),
        ("http://[x/v4", f"='http://[x/v4' {_NAME}"),
        ("http://256.1.1.1/v4", f"='http://256.1.1.1/v4' {_NO_ADDRESS} (Invalid IPv4"),
        ("http://☃.net/v4", f"='http://☃.net/v4' {_NO_ADDRESS} (Invalid IDNA"),
        ("http://h:0", "='http://h:0' has a port that does not exist: they are 1 to 65535."),
        ("http://h:65536", "='http://h:65536' has a port that does not exist"),
        ("http://a..b", f"='http://a..b' {_NAME}"),
        ("http://.a", f"='http://.a' {_NAME}"),
        ("http://a/../..b//", None),
        (f"http://{'x' * 63}.com", None),
        (f"http://{'x' * 64}.com", f"='http://{'x' * 64}.com' {_NAME}"),
        (f"http://{'x.' * 126}x", None),
        (f"http://{'x.' * 127}x", "='http://x.x.x."),
        ("http://a%20b/v4", f"='http://a%20b/v4' {_NAME}"),
        ("http://h\\evil/v4", f"='http://h\\\\evil/v4' {_NAME}"),
        ("http://h/v4\n", f"='http://h/v4\\n' {_SPACE}"),
        (" http://h/v4", f"=' http://h/v4' {_SPACE}"),
        ("http://h/v4 ", f"='http://h/v4 ' {_SPACE}"),
        ("http://h/v\x004", f"='http://h/v\\x004' {_SPACE}"),
        ("http://h/\ud800", f"='http://h/\\ud800' {_SPACE}"),
        ("http://h/v4?", "='http://h/v4' is followed by a query or fragment ('?'). Leave it out."),
        ("http://h/v4#", "='http://h/v4' is followed by a query or fragment ('#'). Leave it out."),
        ("http://h/v4?key=secret", "='http://h/v4' is followed by a query or fragment ('?')."),
        ("http://me:secret@h/v4", " carries a user name or password"),
        ("http://me:se/secret@h:port/v4", " carries a user name or password"),
        (KEY, f"='evk_…' {_NO_ADDRESS}."),
        (f"http://h/{'x' * 2048}", "='http://h/"),
        ("http://bücher.example/v4", None),
        ("http://a_b.internal/v4", None),
        ("http://h./v4", None),
        ("http://[fe80::1%eth0]:8000/v4", None),
        ("HTTPS://H:65535/v4/", None),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_address_is_one_that_can_be_asked(url: Any, problem: str | None) -> None:
    """What no request could be sent to is refused and shown, without keys and passwords."""
    if problem is None:
        assert settings(KEY, url).base_url == url.rstrip("/")
        return
    with pytest.raises(ConfigurationError) as caught:
        settings(KEY, url)
    message = str(caught.value)
    assert message.startswith(f"base_url{problem}")
    assert "secret" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "url", ["http://h/v4\n", " http://h/v4", "http://h/v4?", "http://a..b", "3"]
)
def test_an_address_of_the_environment_is_named_by_its_variable(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable is held to the same, and named."""
    monkeypatch.setenv("EVRUN_BASE_URL", url)
    with pytest.raises(ConfigurationError, match="^EVRUN_BASE_URL='"):
        settings(KEY)


def test_a_time_limit_is_seconds_or_httpx_own() -> None:
    """A number bounds every wait; connecting never takes longer than its own 5 s."""
    assert settings(KEY, URL, timeout=2).options.timeout == httpx.Timeout(2)
    assert settings(KEY, URL, timeout=30).options.timeout == httpx.Timeout(30, connect=5)
    own = httpx.Timeout(None)
    assert settings(KEY, URL, timeout=own).options.timeout is own


NOT_SECONDS = [0, -1, True, "5", float("nan"), float("inf"), 2_000_001, 10**400, b"5", [1]]


@pytest.mark.parametrize("value", NOT_SECONDS, ids=lambda value: repr(value)[:20])
def test_a_time_limit_must_be_positive_and_end(value: Any) -> None:
    """Zero, nonsense and what no socket can wait for are refused, and never mean "for ever"."""
    for name in ("timeout", "deadline"):
        with pytest.raises(ConfigurationError) as caught:
            resolve(api_key=KEY, base_url=URL, **{name: value})
        assert str(caught.value).startswith(f"{name}={repr(value)[:90]}")
        assert "expected a number of seconds, more than 0 and at most 2,000,000" in str(
            caught.value
        )


@pytest.mark.parametrize("value", NOT_SECONDS, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("member", ["connect", "read", "write", "pool"])
def test_each_limit_of_a_timeout_of_httpx_is_held_to_the_same(member: str, value: Any) -> None:
    """`httpx.Timeout` takes anything; only None means "for ever"."""
    limits = {"connect": None, "read": 1, "write": 2_000_000, "pool": 0.1, member: value}
    with pytest.raises(ConfigurationError, match=f"^timeout: {member}="):
        settings(KEY, URL, timeout=httpx.Timeout(**limits))


@pytest.mark.parametrize("value", [-1, True, 1.5, "3", 10**5000 * -1], ids=type)
def test_a_number_of_retries_is_a_whole_number(value: Any) -> None:
    """Nonsense is shown as far as it can be."""
    with pytest.raises(ConfigurationError, match=r"^max_retries=.*: expected a whole number, 0 or"):
        resolve(api_key=KEY, base_url=URL, max_retries=value)


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    """A refusal is ours, whatever `repr` does."""
    odd: Any = Unspeakable()
    with pytest.raises(ConfigurationError, match="^base_url=<Unspeakable> is not a str"):
        settings(KEY, odd)
    with pytest.raises(ConfigurationError, match="^on_unknown=<Unspeakable>: expected"):
        resolve(api_key=KEY, base_url=URL, on_unknown=odd)


def test_a_key_does_not_show_itself() -> None:
    """`repr` masks a key, so that no log or traceback prints it; as text it is whole."""
    assert repr(Secret(KEY)) == "'evk_…'"
    assert str(Secret(KEY)) == KEY
    assert KEY not in repr(settings(KEY, URL))
