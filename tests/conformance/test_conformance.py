from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from schemathesis.python.asgi import shutdown_lifespans

from _support.broken_apps import (
    accept_anything,
    answer_what_is_not_documented,
    keep_what_was_deleted,
    let_anybody_in,
    lose_what_was_made,
)
from _support.commands import new_key, serving
from _support.databases import KINDS, fresh
from _support.schemathesis_ids import World, seed
from _support.schemathesis_runs import PHASES, Outcome, load, run
from _support.served import Api, conforms, contract_operations
from evrun.server import Database
from evrun.server.api.app import create_app
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from schemathesis.engine.recorder import Interaction
    from schemathesis.schemas import BaseSchema
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

# A request may take long on machines that are shared, and there are thousands.
pytestmark = pytest.mark.timeout(900)

KEY = "evk_" + "a" * 40

# All that schemathesis has, but for max_response_time: these machines are shared.
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
}


def examine(schema: BaseSchema) -> Outcome:
    """Run schemathesis; every answer is also read as strictly as the server's own tests do."""
    unreadable: list[str] = []

    def observe(operation_id: str, interaction: Interaction) -> None:
        response = interaction.response
        assert response is not None
        content = response.content or b""
        try:
            conforms(
                httpx.Response(
                    response.status_code,
                    content=content,
                    headers={name: values[0] for name, values in response.headers.items()},
                ),
                operation_id,
            )
        except Exception as error:  # noqa: BLE001 - whatever a user would get
            unreadable.append(f"{operation_id}: {error!r} in {content[:500]!r}")

    outcome = run(schema, observe)
    outcome.failures += unreadable
    return outcome


# The contract is kept above the store, and checks are awake or not whatever the database: what is
# valid reaches the store, so the long tests of that run over both.
over_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return where a fresh database is: what uses it runs over both kinds."""
    with fresh(request, tmp_path / "evals.db") as url:
        yield url


@pytest.fixture
def app(url: str) -> Iterator[Starlette]:
    """Return the application over a database of its own; schemathesis runs its lifespan."""
    yield create_app(Database(url), local_key=KEY)
    shutdown_lifespans()


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """Return objects in the application's database, made through another server on it."""
    server = EmbeddedServer(Database(url))
    api = Api(server.transport(), server.key)
    yield World(api)
    api.http.close()
    server.close()


@pytest.fixture
def served(url: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Return the address of `evrun serve` over the database, and a key."""
    key = new_key(tmp_path, database=url)
    with serving(tmp_path, "--database", url) as base_url:
        yield {"base_url": base_url, "key": key}


def hold(outcome: Outcome, phases: tuple[str, ...] = PHASES) -> None:
    """Fail unless every check was made in every phase, and none failed."""
    assert outcome.failures == [], "\n\n".join(outcome.failures[:5])
    assert set(outcome.checks) == CHECKS
    assert {phase for phase, requests in outcome.phases.items() if requests} == set(phases)


@over_sqlite
def test_the_server_keeps_the_contract_in_process(app: Starlette) -> None:
    """Examples, fuzzing and sequences find no request that breaks it."""
    phases = ("examples", "fuzzing", "stateful")
    hold(examine(load(key=KEY, examples=5, phases=phases, app=app)), phases)


@pytest.mark.soak
def test_the_server_keeps_the_contract_over_a_socket(served: dict[str, Any]) -> None:
    """Neither do they through `evrun serve`, with HTTP in between, nor what covers each rule."""
    hold(examine(load(examples=3, **served)))


@over_sqlite
def test_valid_requests_succeed_on_every_operation(app: Starlette, world: World) -> None:
    """Generated requests that name what exists get a 2xx from each of them."""
    phases = ("fuzzing", "stateful")
    schema = load(key=KEY, examples=15, phases=phases, positive=True, app=app)
    seed(schema, world)
    outcome = examine(schema)
    hold(outcome, phases)
    assert set(outcome.successes) == set(contract_operations())


@over_sqlite
@pytest.mark.soak
def test_many_requests_keep_the_contract(app: Starlette) -> None:
    """Thousands of further requests find nothing either."""
    outcome = examine(load(key=KEY, examples=100, app=app))
    hold(outcome)
    assert outcome.phases.total() > 7_000


@pytest.mark.soak
def test_many_valid_requests_keep_the_contract(app: Starlette, world: World) -> None:
    """Nor do thousands that name what exists."""
    schema = load(key=KEY, examples=100, positive=True, app=app)
    seed(schema, world)
    outcome = examine(schema)
    hold(outcome)
    assert outcome.phases.total() > 3_000
    assert set(outcome.successes) == set(contract_operations())


@over_sqlite
@pytest.mark.soak
def test_many_requests_keep_the_contract_over_a_socket(served: dict[str, Any]) -> None:
    """As above, with HTTP in between."""
    phases = ("examples", "fuzzing", "stateful")
    outcome = examine(load(examples=50, phases=phases, **served))
    hold(outcome, phases)
    assert outcome.phases.total() > 1_000


@over_sqlite
def test_an_answer_that_breaks_the_contract_is_found(app: Starlette) -> None:
    """An undocumented status and a wrong field both fail."""
    broken = answer_what_is_not_documented(app)
    said = "\n".join(examine(load(key=KEY, examples=2, phases=("fuzzing",), app=broken)).failures)
    assert "status_code_conformance" in said
    assert "GET /projects: response_schema_conformance" in said
    assert "Projects_list: <ValidationError" in said


@over_sqlite
@pytest.mark.parametrize(
    ("check", "broken", "phase"),
    [
        ("negative_data_rejection", accept_anything, "fuzzing"),
        ("negative_data_rejection", accept_anything, "coverage"),
        ("ignored_auth", partial(let_anybody_in, key=KEY), "coverage"),
        ("missing_required_header", partial(let_anybody_in, key=KEY), "coverage"),
        ("ensure_resource_availability", lose_what_was_made, "stateful"),
        ("use_after_free", keep_what_was_deleted, "stateful"),
    ],
)
def test_a_server_that_breaks_a_promise_is_found(
    app: Starlette, check: str, broken: Callable[[ASGIApp], ASGIApp], phase: str
) -> None:
    """The checks that go beyond one answer are awake."""
    schema = load(key=KEY, examples=30, phases=(phase,), app=broken(app))
    outcome = examine(schema.include(operation_id_regex="Evaluators_"))
    assert f": {check}: " in "\n".join(outcome.failures)
