"""`EVRUN_LOG`: what a program shows on standard error, and what it never shows."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from typing import Any

import httpx
import pytest

from _support import SUPPORT
from _support.fake_api import BASE_URL, KEY, FakeApi
from _support.loopback_server import Answer, Loopback, Seen, running
from evrun import ConfigurationError, Evrun, EvrunError
from evrun._base.redaction import masked_headers, masked_url

PROGRAM = SUPPORT / "log_by_environment.py"
SECRETS = (KEY, "provider-secret", "gateway-secret", "cookie-secret")
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
FORGED = "2026-01-01 00:00:00,000 INFO POST http://evrun.test: all is well"


class Hostile:
    """Declines once and then refuses, with all that a log had better not print as it is."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _: Seen) -> Answer:
        self.count += 1
        return Answer(
            status=429 if self.count == 1 else 422,
            headers=(
                ("Set-Cookie", "cookie-secret"),
                ("X-Odd", f"\x1b[2Jcleared\x85{FORGED}"),
                ("retry-after-ms", "1"),
            ),
            body={"detail": f"Later\r\n{FORGED}"},
        )


def shown(**settings: str) -> list[str]:
    """Run the program against a hostile server and return the lines of its standard error."""
    with running(Loopback(Hostile())) as server:
        result = subprocess.run(
            [sys.executable, "-X", "dev", PROGRAM, server.base_url],
            env={**os.environ, "KEY": KEY, **settings},
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=60,
        )
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_nothing_is_shown_unless_asked() -> None:
    """A program without EVRUN_LOG prints nothing."""
    assert shown() == []


def test_info_shows_decisions() -> None:
    """`EVRUN_LOG=info` says what was tried again, or given up, and why: once, for all clients."""
    post = r"POST http://127.0.0.1:\d+/v4/projects/pr_1/evaluations"
    first, second = shown(EVRUN_LOG="info")
    assert re.fullmatch(
        rf"{TIME} INFO {post}: attempt 1 failed, next in 0.001 s: "
        "status 429: the server did not carry it out",
        first,
    )
    assert re.fullmatch(
        rf"{TIME} INFO {post}: gave up after attempt 2: sending it again would change nothing",
        second,
    )


@pytest.mark.parametrize("payloads", ["shown", "redacted"])
def test_debug_shows_everything_but_secrets(payloads: str) -> None:
    """`EVRUN_LOG=debug` shows requests and answers, one line each; no key, ever."""
    lines = shown(EVRUN_LOG="DEBUG", EVRUN_LOG_PAYLOADS=payloads)
    stage = re.compile(rf"{TIME} \w+ POST \S+: (attempt \d failed|attempt \d|status \d+|gave up)")
    assert [found.group(1) for found in map(stage.match, lines) if found] == [
        *("attempt 1", "status 429", "attempt 1 failed"),
        *("attempt 2", "status 422", "gave up"),
    ]
    text = "\n".join(lines)
    assert [secret for secret in SECRETS if secret in text] == []
    assert "x-api-key: ***" in lines[0]
    assert re.search(r"status 429 after 0\.\d{3} s;", lines[1])
    if payloads == "shown":
        assert '"dataset_id": "evts_1"' in lines[0]
        assert '"provider_api_keys": "***"' in lines[0]
        assert "Later" in lines[1]
    else:
        assert re.search(r"; a body of \d+ bytes$", lines[0])
        assert "evts_1" not in text
        assert "Later" not in text


@pytest.mark.parametrize("payloads", ["shown", "redacted"])
def test_no_server_writes_lines_of_its_own(payloads: str) -> None:
    """Line breaks and commands to the terminal, in headers or bodies, come out escaped."""
    lines = shown(EVRUN_LOG="debug", EVRUN_LOG_PAYLOADS=payloads)
    assert len(lines) == 6
    assert all(re.match(rf"{TIME} (DEBUG|INFO) POST http://127", line) for line in lines)
    assert r"x-odd: \x1b[2Jcleared\x85" in lines[1]
    assert "\x1b" not in "".join(lines)


def test_the_logger_can_be_set_up_by_the_program(caplog: pytest.LogCaptureFixture) -> None:
    """Without EVRUN_LOG, whoever sets up the logger `evrun` gets the same."""
    caplog.set_level(logging.DEBUG, logger="evrun")
    with (
        Evrun(api_key=KEY, base_url=BASE_URL, http_client=FakeApi(404).http_client()) as client,
        pytest.raises(EvrunError),
    ):
        client.projects.get("pr_1")
    assert [record.levelname for record in caplog.records if record.name == "evrun"] == [
        "DEBUG",
        "DEBUG",
        "INFO",
    ]
    assert KEY not in caplog.text


def test_an_error_of_the_connection_is_shown_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What the network says is escaped as well."""
    caplog.set_level(logging.DEBUG, logger="evrun")
    api = FakeApi()
    api.error = httpx.ReadError(f"odd\n{FORGED}")
    with (
        Evrun(
            api_key=KEY, base_url=BASE_URL, http_client=api.http_client(), max_retries=0
        ) as client,
        pytest.raises(EvrunError),
    ):
        client.projects.get("pr_1")
    assert r"ReadError after 0.00" in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EVRUN_LOG", "loud", "EVRUN_LOG='loud': expected debug, info, warning."),
        (
            "EVRUN_LOG_PAYLOADS",
            "hidden",
            "EVRUN_LOG_PAYLOADS='hidden': expected shown or redacted.",
        ),
    ],
)
def test_a_setting_that_is_none_is_refused(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip in the variable is an error, and not silence."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        Evrun(api_key=KEY, base_url=BASE_URL)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("X-API-KEY", True),
        ("Authorization", True),
        ("Proxy-Authorization", True),
        ("Cookie", True),
        ("Set-Cookie", True),
        ("Ocp-Apim-Subscription-Key", True),
        ("X-Amz-Security-Token", True),
        ("CF-Access-Client-Secret", True),
        ("Idempotency-Key", False),
        ("Content-Type", False),
        ("WWW-Authenticate", False),
        ("X-Request-ID", False),
    ],
)
def test_headers_that_carry_keys_are_known_by_their_names(name: str, masked: bool) -> None:
    """Gateways in between have keys of their own, which no log and no error shows either."""
    assert masked_headers(httpx.Headers({name: "v"})) == [(name.lower(), "***" if masked else "v")]


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("", ""),
        ("?page=0&search=a+b%2Bc&x", "?page=0&search=a+b%2Bc&x"),
        ("?page=0&api_key=s&size=2", "?page=0&api_key=***&size=2"),
        ("?Subscription-Key=s=t?u", "?Subscription-Key=***"),
        ("?access%5Ftoken=s", "?access%5Ftoken=***"),
        ("?idempotency_key=s&monkey=t", "?idempotency_key=s&monkey=t"),
    ],
)
def test_keys_in_a_query_are_known_by_their_names(query: str, masked: str) -> None:
    """A gateway may take its own there; what else stands in it stays as it was sent."""
    assert masked_url(f"http://evrun.test/v4/x{query}") == f"http://evrun.test/v4/x{masked}"


def test_no_error_and_no_line_shows_a_key_in_a_query(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the message, nor the address, nor the command, nor the log."""

    def gateway(request: httpx.Request, send: Any) -> Any:
        request.url = request.url.copy_add_param("subscription-key", "gateway-secret")
        return send(request)

    transport = httpx.MockTransport(lambda _: httpx.Response(404, json={"detail": "No."}))
    client = Evrun(
        api_key=KEY,
        base_url=BASE_URL,
        http_client=httpx.Client(transport=transport),
        middleware=[gateway],
    )
    with client, caplog.at_level("DEBUG", "evrun"), pytest.raises(EvrunError) as caught:
        client.with_options(extra_query={"api_key": "query-secret"}).projects.get("pr_1")
    error: Any = caught.value
    shown = "\n".join([str(error), error.url, error.as_curl(), caplog.text])
    assert "-secret" not in shown
    assert "api_key=***" in error.url
