"""The page on moving from the vendor's SDK: every line of it is run, on both sides."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from attrs import frozen

import evrun
from _support.commands import new_key, serving
from _support.contract_examples import Ids
from _support.databases import KINDS, fresh
from _support.fixed_answers import Reply, answering
from _support.served import contract_operations
from _support.vendor.sdk import Ran, VendorCode, method_of, without_ours
from _support.vendor.statements import execute
from evrun import Evrun

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "overlays" / "MIGRATING.md").read_text(encoding="utf-8")

# The environment is made at the first test.
pytestmark = pytest.mark.timeout(300)

PIECE = re.compile(
    r"^\| `(?P<operation>\w+)` \| `(?P<left>[^`]+)` \| (?:`(?P<right>[^`]+)`|the same) \|$"
    r"|^```python humanloop\n(?P<theirs>.*?)^```\n\n```python evrun\n(?P<ours>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@frozen
class Pair:
    """The same on both sides."""

    theirs: str
    ours: str
    operation: str | None


PAIRS = [
    Pair(found["theirs"], found["ours"], None)
    if found["operation"] is None
    else Pair(found["left"], found["right"] or found["left"], found["operation"])
    for found in PIECE.finditer(PAGE)
]


def rows(title: str) -> list[tuple[str, ...]]:
    """Return the cells of the table in a section, without its head and the line below that."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return [tuple(cells) for cells in table[2:]]


BEHAVIOUR = [what for what, *_ in rows("What behaves differently")]


def plain(value: Any) -> Any:
    """Return one of our results as JSON, with texts for times."""
    if attrs.has(type(value)):
        value = {name: getattr(value, name) for name in attrs.fields_dict(type(value))}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def comparable(value: Any) -> Any:
    """Return an answer without what is null, what only we answer, and which moment it was."""
    if isinstance(value, dict):
        kept = without_ours(value)
        return {key: comparable(each) for key, each in kept.items() if each is not None}
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:", value):
        return "a time"
    return str(value) if isinstance(value, str) else value


def test_no_code_of_the_page_is_left_out() -> None:
    """Each row of a table of operations and each block of code is one of the pairs below."""
    in_rows = len(re.findall(r"^\| `[A-Z]\w+_", PAGE, re.MULTILINE))
    in_blocks = len(re.findall(r"^```\w", PAGE, re.MULTILINE))
    assert len([pair for pair in PAIRS if pair.operation]) == in_rows
    assert 2 * len([pair for pair in PAIRS if not pair.operation]) == in_blocks


@pytest.mark.vendor
def test_the_page_has_every_operation_that_the_sdk_has(vendor_python: Path) -> None:
    """Each operation of the contract stands there, but for extensions, which the SDK lacks."""
    operations = contract_operations()
    ours_alone = {name for name in operations if operations[name][2].get("x-evrun-extension")}
    assert {pair.operation for pair in PAIRS} - {None} == set(operations) - ours_alone
    with VendorCode(vendor_python, "http://127.0.0.1:9", "k") as vendor:
        vendor.run(PAIRS[0].theirs)
        for name in operations:
            resource, _, method = method_of(name).partition(".")
            found = vendor.run(f"hasattr(client.{resource}, {method!r})")
            assert found == Ran(name not in ours_alone), name


METHODS = """
sorted(
    f"{resource}.{name}"
    for resource, api in vars(client).items()
    for name in dir(api)
    if not name.startswith("_") and hasattr(api, f"a{name}")
)
"""


@pytest.mark.vendor
def test_what_the_sdk_has_besides_stands_on_the_page(vendor_python: Path) -> None:
    """Each method of the SDK is an operation of the contract, or named as what is not here."""
    with VendorCode(vendor_python, "http://127.0.0.1:9/v4", "k") as vendor:
        vendor.run(PAIRS[0].theirs)
        methods = set(vendor.run(METHODS).value)
    named = [
        name for left, _ in rows("What is not here") for name in re.findall(r"`([\w.]+)`", left)
    ]
    assert sorted(named) == sorted(methods - {method_of(name) for name in contract_operations()})


@pytest.fixture(params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[str], AbstractContextManager[tuple[str, str]]]:
    """Return what runs a fresh server; what uses it runs over both kinds of database."""

    @contextmanager
    def running(name: str) -> Iterator[tuple[str, str]]:
        with fresh(request, tmp_path / f"{name}.db") as url:
            key = new_key(tmp_path, database=url)
            with serving(tmp_path, "--database", url) as base_url:
                yield base_url, key

    return running


@pytest.mark.vendor
def test_every_line_does_the_same_on_both_sides(
    vendor_python: Path, server: Callable[[str], AbstractContextManager[tuple[str, str]]]
) -> None:
    """The page is one program, told to a fresh server by each side, and the answers are alike."""
    assert len(PAIRS) > len(contract_operations())
    with server("theirs") as theirs_at, server("ours") as (base_url, key):
        names: dict[str, Any] = {"base_url": base_url, "key": key}
        ids = Ids()
        with VendorCode(vendor_python, *theirs_at) as vendor:
            for pair in PAIRS:
                theirs, ours = vendor.run(pair.theirs), execute(pair.ours, names)
                assert not theirs.raised, (pair.theirs, theirs)
                if isinstance(ours, Evrun):
                    continue  # a client is no answer
                place = pair.operation or pair.ours
                ids.compare(comparable(theirs.value), comparable(plain(ours)), place)
        names["client"].close()


@frozen
class Sides:
    """Both SDKs, whose clients are made for the server of the moment."""

    vendor: VendorCode

    def theirs(self, code: str, url: str) -> Ran:
        """Run a piece over the vendor's client."""
        made = f"from humanloop import Humanloop\nclient = Humanloop(api_key='k', host='{url}/v4')"
        return self.vendor.run(f"{made}\n{code}")

    @contextmanager
    def ours(self, url: str, **options: Any) -> Iterator[Evrun]:
        """Return a client of ours."""
        with Evrun(api_key="k", base_url=f"{url}/v4", **options) as client:
            yield client


@pytest.fixture(scope="module")
def sides(vendor_python: Path) -> Iterator[Sides]:
    """Return both SDKs."""
    with VendorCode(vendor_python, "", "") as vendor:
        yield Sides(vendor)


EMPTY_PAGE = Reply(200, {"records": [], "page": 0, "size": 10, "total": 0})
LOG = "client.evaluations.log(evaluation_id='evrun_1', datapoint_id='1', log={})"
LOGGED = Reply(201, {"id": "data_1", "project_id": "pr_1", "session_id": None})


def ids_are_checked(sides: Sides) -> None:
    with answering(EMPTY_PAGE) as server:
        fetched = sides.theirs("hasattr(client.projects.get(id=''), 'id')", server.url)
        assert (fetched.value, server.received[0].path) == (False, "/v4/projects/")
        sides.theirs(LOG.replace("evrun_1", "data_1"), server.url)
        assert server.received[1].path == "/v4/evaluations/data_1/log"
        with sides.ours(server.url) as client:
            with pytest.raises(evrun.InvalidIdError):
                client.projects.get("")
            with pytest.raises(evrun.InvalidIdError):
                client.evaluations.log("data_1", datapoint_id="1", log={})
        assert len(server.received) == 2


def fields_are_checked(sides: Sides) -> None:
    with answering(LOGGED) as server:
        assert not sides.theirs(LOG.replace("{}", "{'outptu': 'x'}"), server.url).raised
        assert server.received[0].body["log"] == {"outptu": "x"}
        with sides.ours(server.url) as client, pytest.raises(evrun.InvalidRequestError):
            client.evaluations.log("evrun_1", datapoint_id="1", log=dict[str, Any](outptu="x"))
        assert len(server.received) == 1


def none_is_left_out(sides: Sides) -> None:
    with answering(LOGGED) as server:
        sides.theirs(LOG.replace("log={}", "log={}, evaluatee_id=None"), server.url)
        with sides.ours(server.url) as client:
            client.evaluations.log("evrun_1", datapoint_id="1", log={}, evaluatee_id=None)
        assert [each.path for each in server.received] == ["/v4/evaluations/evrun_1/log"] * 2


def none_inside_a_log_is_null(sides: Sides) -> None:
    with answering(LOGGED) as server:
        refused = sides.theirs(LOG.replace("{}", "{'output': None}"), server.url)
        assert refused.raised[0].endswith(".SchemaValidationError")
        with sides.ours(server.url) as client:
            client.evaluations.log("evrun_1", datapoint_id="1", log={"output": None})
        assert [each.body["log"] for each in server.received] == [{"output": None}]


def a_page_of_html_is_no_answer(sides: Sides) -> None:
    with answering(Reply(200, b"<html>Log in</html>")) as server:
        assert sides.theirs("client.projects.list()", server.url).value == "<html>Log in</html>"
        with sides.ours(server.url) as client, pytest.raises(evrun.DecodeError) as caught:
            client.projects.list()
        assert caught.value.body == "<html>Log in</html>"


def a_field_that_is_missing_is_named(sides: Sides) -> None:
    with answering(Reply(201, {"x": 1})) as server:
        assert sides.theirs("hasattr(client.sessions.create(), 'id')", server.url).value is False
        with sides.ours(server.url) as client, pytest.raises(evrun.DecodeError, match="'id'"):
            client.sessions.create()


def redirects_are_not_followed(sides: Sides) -> None:
    with answering(EMPTY_PAGE) as other:
        moved = Reply(302, {}, {"Location": f"{other.url}/elsewhere"})
        with answering(moved) as server:
            assert sides.theirs("client.projects.list()", server.url).raised == ()
            assert [(each.path, each.key) for each in other.received] == [("/elsewhere", "k")]
            with sides.ours(server.url) as client, pytest.raises(evrun.RedirectError):
                client.projects.list()
            assert len(other.received) == 1


def broken_connections_say_whether_anything_was_sent(sides: Sides) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with answering(Reply(0)) as server:
        for url, sent in ((nobody, False), (server.url, True)):
            raised = sides.theirs(LOG, url).raised
            assert raised[0].startswith("urllib3.exceptions.")
            assert not any(name.startswith("humanloop.") for name in raised)
            with sides.ours(url) as client, pytest.raises(evrun.TransportError) as caught:
                client.evaluations.log("evrun_1", datapoint_id="1", log={})
            assert caught.value.sent is sent


def refusals_for_now_are_sent_again(sides: Sides) -> None:
    later = Reply(429, {"detail": "Later"}, {"retry-after-ms": "0"})
    with answering(later) as server:
        assert "humanloop.exceptions.ApiException" in " ".join(sides.theirs(LOG, server.url).raised)
        assert len(server.received) == 1
        with sides.ours(server.url) as client, pytest.raises(evrun.RateLimitedError):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})
        assert len(server.received) == 1 + 4


def a_lost_answer_is_repeated_under_its_key(sides: Sides) -> None:
    with answering(Reply(0)) as server:
        assert sides.theirs(LOG, server.url).raised[0].startswith("urllib3.exceptions.")
        with sides.ours(server.url) as client, pytest.raises(evrun.UnknownOutcomeError):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})
        theirs, ours = server.received
        assert (theirs.idempotency_key, len(ours.idempotency_key or "")) == (None, 36)
    announced = Reply(503, {"detail": "x"}, {"Evrun-Capabilities": "idempotency=86400"})
    with answering(announced) as server:
        with (
            sides.ours(server.url, max_retries=1) as client,
            pytest.raises(evrun.UnknownOutcomeError),
        ):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})
        first, second = (each.idempotency_key for each in server.received)
        assert first == second


def waits_end(sides: Sides) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        refused = sides.theirs("client.projects.list(timeout=1)", url)
        assert refused.raised[0] == "builtins.TypeError"
        pool = "client.projects.raw.api_client.rest_client.pool_manager"
        assert sides.theirs(f"{pool}.connection_pool_kw.get('timeout')", url) == Ran(None)
        with (
            sides.ours(url, timeout=0.2) as client,
            pytest.raises(evrun.RequestTimeoutError),
        ):
            client.evaluations.log("evrun_1", datapoint_id="1", log={})


def lists_are_tuples(sides: Sides) -> None:
    with answering(Reply(200, [])) as server:
        kind = sides.theirs("type(client.datasets.list()).__name__", server.url).value
        with sides.ours(server.url) as client:
            assert (kind, client.datasets.list()) == ("list", ())


def times_are_utc(sides: Sides) -> None:
    at = "2024-05-01T10:00:00Z"
    row = {"id": "evts_1", "project_id": "", "name": "n", "datapoint_count": 0}
    with answering(Reply(200, {**row, "created_at": at, "updated_at": at})) as server:
        code = "str(client.datasets.get(id='evts_1').created_at.tzinfo)"
        zone = sides.theirs(code, server.url).value
        with sides.ours(server.url) as client:
            ours = client.datasets.get("evts_1").created_at.tzinfo
        assert (zone, str(ours)) == ("tzlocal()", "UTC")


def answers_are_always_checked(sides: Sides) -> None:
    with answering(Reply(200, [{"id": 7}])) as server:
        assert sides.theirs("client.datasets.list()", server.url).raised == ()
        checked = sides.theirs("client.datasets.list(validate=True)", server.url)
        assert "pydantic_core._pydantic_core.ValidationError" in checked.raised
        with sides.ours(server.url) as client, pytest.raises(evrun.DecodeError):
            client.datasets.list()


SHOWN: dict[str, Callable[[Sides], None]] = {
    "an empty id, or an id of another resource": ids_are_checked,
    "a field of `log` that the contract does not know": fields_are_checked,
    "`None` for an argument": none_is_left_out,
    "`None` for a field of `log`": none_inside_a_log_is_null,
    "a success that is not JSON, such as a login page": a_page_of_html_is_no_answer,
    "a success without a promised field": a_field_that_is_missing_is_named,
    "a redirect": redirects_are_not_followed,
    "a failed or broken connection": broken_connections_say_whether_anything_was_sent,
    "a POST over the rate limit (429)": refusals_for_now_are_sent_again,
    "a POST whose response is lost": a_lost_answer_is_repeated_under_its_key,
    "timeouts": waits_end,
    "a list outside a page": lists_are_tuples,
    "times": times_are_utc,
    "`validate=True`": answers_are_always_checked,
}


@pytest.mark.vendor
@pytest.mark.parametrize("what", BEHAVIOUR)
def test_what_behaves_otherwise_does(sides: Sides, what: str) -> None:
    """Each row of the page's last table holds, on both sides."""
    SHOWN[what](sides)


def test_every_row_is_shown() -> None:
    """The table has rows, and nothing is shown that it does not say."""
    assert set(SHOWN) == set(BEHAVIOUR)


def test_the_page_is_linked() -> None:
    """Readers find the page from both readmes."""
    assert "overlays/MIGRATING.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "MIGRATING.md" in (ROOT / "overlays" / "README.md").read_text(encoding="utf-8")
