"""`evrun doctor`: whether a program's requests would arrive, and what to fix."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import click
from attrs import asdict, define, frozen
from rich.text import Text

from evrun import __version__
from evrun._transport import settings
from evrun.cli import diagnosis, probing
from evrun.cli.diagnosis import CHECKS, Finding, Server, Setting
from evrun.cli.output import Output
from evrun.errors import ConfigurationError
from evrun_api.contract import SHA256

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_INFRASTRUCTURE_FAILED = 3
_LONGEST = 3600  # seconds
_KEYS = ("EVRUN_API_KEY", "HUMANLOOP_API_KEY")
_SECRET = 8  # characters; a shorter text occurs in ordinary words
_ANY_KEY = "x" * 36  # for reading the address alone
_STYLES = {"passed": "green", "note": "yellow", "failed": "bold red", "skipped": "dim"}
_MARKS = {"passed": "✓", "note": "!", "failed": "✗", "skipped": "-"}
_ASCII_MARKS = {"passed": "+", "note": "!", "failed": "x", "skipped": "-"}


@frozen
class Report:
    """All findings, and both sides' versions."""

    findings: tuple[Finding, ...]
    client: Server
    server: Server | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(each.status != "failed" for each in self.findings)


@click.command
@click.option("--base-url", metavar="URL", help="The address to check, instead of EVRUN_BASE_URL.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    callback=lambda _context, _option, value: _seconds(value),
    default=5.0,
    show_default=True,
    help="Timeout for each answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(base_url: str | None, timeout: float, *, as_json: bool) -> None:
    """Check key, address, network, TLS, server and contract, and say what to fix.

    It reads the settings that clients read, and changes nothing. It shows only the first characters
    of the key. Exit status: 0 every check passed, 3 a check failed.
    """
    report = examine(base_url, timeout)
    if as_json:
        content = {
            "passed": report.passed,
            "checks": [asdict(each) for each in report.findings],
            "client": asdict(report.client),
            "server": None if report.server is None else asdict(report.server),
        }
        click.echo(json.dumps(content, indent=2))
    else:
        _print(report)
    if not report.passed:
        raise SystemExit(_INFRASTRUCTURE_FAILED)


def _seconds(value: float) -> float:
    if not 0 < value <= _LONGEST:  # click's own range lets `nan` pass
        raise click.BadParameter(f"{value} is not between 0 and {_LONGEST}.")
    return value


def examine(base_url: str | None, timeout: float) -> Report:
    """Run the checks, and skip those that an earlier failure makes pointless."""
    examination = _Examination(base_url, timeout, Server(__version__, SHA256))
    findings = list(examination.findings())
    done = {each.check for each in findings}
    stopped = next((each.check for each in findings[::-1] if each.status == "failed"), "")
    rest = [diagnosis.skipped(each, f"see {stopped}") for each in CHECKS if each not in done]
    in_order = sorted((*findings, *rest), key=lambda each: CHECKS.index(each.check))
    return Report(_without_key(in_order), examination.own, examination.server)


@define
class _Examination:
    """Runs one check after another, until a failure makes the rest pointless."""

    base_url: str | None
    timeout: float
    own: Server
    server: Server | None = None
    """The evrun server, once it has answered."""

    def findings(self) -> Iterator[Finding]:
        place = "--base-url" if self.base_url else "EVRUN_BASE_URL"
        try:
            config = settings.resolve(api_key=_ANY_KEY, base_url=self.base_url, timeout=None)
        except ConfigurationError as error:
            yield diagnosis.unusable("address", error, place)
            return
        named = self.base_url or os.environ.get("EVRUN_BASE_URL")
        url = Setting(config.base_url, place if named else "the default", place)
        yield diagnosis.address(url)
        key, form = self._key()
        yield form

        reached = self._network(url)
        yield reached
        if reached.status == "failed":
            return
        exchange = probing.ask_health(url.value.removesuffix("/v4"), self.timeout)
        encryption = diagnosis.encryption(exchange, url, time.time())
        yield encryption
        if encryption.status == "failed":
            return
        answered, self.server = diagnosis.server(exchange, url)
        yield answered
        if exchange.status is None:
            return
        yield diagnosis.contract(self.server, self.own)
        if key is not None:
            refusal = probing.list_a_project(url.value, key.value, self.timeout)
            yield diagnosis.access(refusal, url, key, self.server)

    def _network(self, url: Setting) -> Finding:
        try:
            return diagnosis.network(probing.connect(url.value, self.timeout), url)
        except ConfigurationError as error:
            return diagnosis.unusable("network", error, "the variable")

    def _key(self) -> tuple[Setting | None, Finding]:
        """Return the key that clients send, if its form is right."""
        try:
            config = settings.resolve(api_key=None, base_url=self.base_url, timeout=None)
        except ConfigurationError as error:
            return None, diagnosis.unusable("key", error, _KEYS[0])
        # `settings` decides which key is sent; this only names its variable.
        sent = str(config.api_key)
        variable = next((each for each in _KEYS if os.environ.get(each) == sent), _KEYS[0])
        key = Setting(sent, variable, variable)
        form = diagnosis.key_form(key)
        return (key if form.status == "passed" else None), form


def _without_key(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return the findings without the key, which a server's response may contain."""
    keys = [os.environ.get(each, "") for each in _KEYS]

    def clean(text: str) -> str:
        for key in keys:
            shown = diagnosis.masked(key)
            # Also the beginnings of the key, because messages are cut.
            for end in range(len(key), max(len(shown), _SECRET) - 1, -1):
                text = text.replace(key[:end], shown)
        return "".join(each if each.isprintable() else " " for each in text)

    return tuple(
        Finding(each.check, each.status, clean(each.said), clean(each.fix)) for each in findings
    )


def _print(report: Report) -> None:
    console = Output(highlight=False, soft_wrap=True)
    try:
        "✓✗…".encode(console.encoding)
    except UnicodeEncodeError:
        marks = _ASCII_MARKS
    else:
        marks = _MARKS
    for each in report.findings:
        style = _STYLES[each.status]
        _line(console, (f"{marks[each.status]} {each.check:<9}", style), (f" {each.said}", ""))
        if each.fix:
            _line(console, (" " * 12, ""), (each.fix, "bold" if each.status == "failed" else ""))


def _line(console: Console, *parts: tuple[str, str]) -> None:
    encoding = console.encoding
    known = ((text.encode(encoding, "replace").decode(encoding), style) for text, style in parts)
    console.print(Text.assemble(*known))
