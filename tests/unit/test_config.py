from __future__ import annotations

import httpx
import pytest

from evrun._config import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Config, Secret, resolve
from evrun.errors import ConfigurationError

KEY = "evk_abcdefghijklmnopqrstuvwxyz0123456789"


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


def test_the_contracts_server_is_the_default() -> None:
    """Without an address it is the vendor's API, with limits on every wait."""
    config = settings(KEY)
    assert config.base_url == DEFAULT_BASE_URL
    assert config.options.timeout == DEFAULT_TIMEOUT
    assert config.options.timeout.connect == 5
    assert (
        config.options.timeout.read
        == config.options.timeout.write
        == config.options.timeout.pool
        == 60
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://api.humanloop.com/v4",
        "https://humanloop.com",
        "http://127.0.0.1:8000/v4",
        "http://localhost/v4",
        "http://[::1]:80/v4",
    ],
)
def test_the_vendors_key_goes_to_the_vendor_and_to_this_machine(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HUMANLOOP_API_KEY is used where code for the vendor's SDK expects it."""
    monkeypatch.setenv("HUMANLOOP_API_KEY", "hl_sk_1")
    assert settings(base_url=url).api_key == "hl_sk_1"


@pytest.mark.parametrize(
    "url",
    [
        "https://evals.example.com/v4",
        "https://humanloop.com.evil.example/v4",
        "https://nothumanloop.com/v4",
        "http://127.0.0.1.evil.example/v4",
    ],
)
def test_the_vendors_key_goes_nowhere_else(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host never sees HUMANLOOP_API_KEY, and the error says so."""
    monkeypatch.setenv("HUMANLOOP_API_KEY", "hl_sk_1")
    with pytest.raises(
        ConfigurationError, match="HUMANLOOP_API_KEY is set, but it is never sent to"
    ):
        settings(base_url=url)


def test_a_missing_key_names_the_argument_the_variable_and_the_command() -> None:
    """Whoever has no key learns the three ways to one."""
    with pytest.raises(ConfigurationError) as caught:
        settings()
    assert str(caught.value) == (
        "No API key. Pass api_key=… or set EVRUN_API_KEY; "
        "`evrun keys create NAME` makes one for a server of your own."
    )


@pytest.mark.parametrize("key", ["", "a key", "key\n", "schlüssel", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    """A badly pasted key fails before anything is sent."""
    with pytest.raises(ConfigurationError, match="Was it pasted whole"):
        settings(key)


@pytest.mark.parametrize(
    "url",
    [
        "api.humanloop.com/v4",
        "ftp://h/v4",
        "http://",
        "http://h:port/v4",
        "http://[x/v4",
        "http://h:0",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """A base_url must be an http(s) address with a host."""
    with pytest.raises(ConfigurationError, match="is no http") as caught:
        settings(KEY, url)
    assert repr(url) in str(caught.value)


def test_a_password_in_the_address_is_refused_without_repeating_it() -> None:
    """Credentials belong in api_key, and in no message."""
    with pytest.raises(ConfigurationError, match="user name or password") as caught:
        settings(KEY, "http://me:secret@h/v4")
    assert "secret" not in str(caught.value)


def test_a_query_in_the_address_is_refused() -> None:
    """A query would end up in front of the path."""
    with pytest.raises(ConfigurationError, match="query or fragment"):
        settings(KEY, "http://h/v4?x=1")


def test_a_time_limit_is_seconds_or_httpx_own() -> None:
    """A number bounds every wait; connecting never takes longer than its own 5 s."""
    assert settings(KEY, timeout=2).options.timeout == httpx.Timeout(2)
    assert settings(KEY, timeout=30).options.timeout == httpx.Timeout(30, connect=5)
    own = httpx.Timeout(None)
    assert settings(KEY, timeout=own).options.timeout is own


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan")])
def test_a_time_limit_must_be_positive(timeout: float) -> None:
    """Zero and nonsense are refused, and never mean "for ever"."""
    with pytest.raises(ConfigurationError, match="is no positive number of seconds"):
        settings(KEY, timeout=timeout)


def test_a_key_does_not_show_itself() -> None:
    """`repr` masks a key, so that no log or traceback prints it; as text it is whole."""
    assert repr(Secret(KEY)) == "'evk_…'"
    assert str(Secret(KEY)) == KEY
    assert KEY not in repr(settings(KEY))
