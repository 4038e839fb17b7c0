from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from commands import new_key, serving
from engine import PHASES, Outcome, load, run
from schemathesis.python.asgi import shutdown_lifespans
from seeding import World, seed
from served import Api, conforms, contract_operations

from evrun.server import Database
from evrun.server.app import create_app
from evrun.server.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemathesis.engine.recorder import Interaction
    from schemathesis.specs.openapi.schemas import OpenApiSchema
    from starlette.applications import Starlette
    from starlette.types import Message, Receive, Scope, Send

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


def examine(schema: OpenApiSchema) -> Outcome:
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


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Starlette]:
    """Return the application over a database of its own; schemathesis runs its lifespan."""
    yield create_app(Database(f"sqlite:///{tmp_path / 'evals.db'}"), local_key=KEY)
    shutdown_lifespans()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return objects in the application's database, made through another server on it."""
    server = EmbeddedServer(tmp_path / "evals.db")
    api = Api(server.transport(), server.key)
    yield World(api)
    api.http.close()
    server.close()


def hold(outcome: Outcome, phases: tuple[str, ...] = PHASES) -> None:
    """Fail unless every check was made in every phase, and none failed."""
    assert outcome.failures == [], "\n\n".join(outcome.failures[:5])
    assert set(outcome.checks) == CHECKS
    assert {phase for phase, requests in outcome.phases.items() if requests} == set(phases)


def test_the_server_keeps_the_contract_in_process(app: Starlette) -> None:
    """Examples, coverage, fuzzing and sequences find no request that breaks it."""
    hold(examine(load(key=KEY, examples=5, app=app)))


def test_the_server_keeps_the_contract_over_a_socket(tmp_path: Path) -> None:
    """Neither do they through `evrun serve`, with HTTP in between."""
    with serving(tmp_path) as base_url:
        hold(examine(load(key=new_key(tmp_path), examples=3, base_url=base_url)))


def test_valid_requests_succeed_on_every_operation(app: Starlette, world: World) -> None:
    """Generated requests that name what exists get a 2xx from each of them."""
    phases = ("fuzzing", "stateful")
    schema = load(key=KEY, examples=25, phases=phases, positive=True, app=app)
    seed(schema, world)
    outcome = examine(schema)
    hold(outcome, phases)
    assert set(outcome.successes) == set(contract_operations())


@pytest.mark.soak
def test_many_requests_keep_the_contract(app: Starlette) -> None:
    """Thousands of further requests find nothing either."""
    hold(examine(load(key=KEY, examples=150, app=app)))


@pytest.mark.soak
def test_many_valid_requests_keep_the_contract(app: Starlette, world: World) -> None:
    """Nor do thousands that name what exists."""
    schema = load(key=KEY, examples=150, positive=True, app=app)
    seed(schema, world)
    outcome = examine(schema)
    hold(outcome)
    assert set(outcome.successes) == set(contract_operations())


@pytest.mark.soak
def test_many_requests_keep_the_contract_over_a_socket(tmp_path: Path) -> None:
    """As above, with HTTP in between."""
    with serving(tmp_path) as base_url:
        hold(examine(load(key=new_key(tmp_path), examples=50, base_url=base_url)))


def test_an_answer_that_breaks_the_contract_is_found(app: Starlette) -> None:
    """The checks are awake: an undocumented status and a wrong field both fail."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 404:
                message = {**message, "status": 418}
            if message["type"] == "http.response.body":
                body = message["body"].replace(b'"total":', b'"count":')
                message = {**message, "body": body}
            await send(message)

        await app(scope, receive, changed)

    outcome = examine(load(key=KEY, examples=2, phases=("fuzzing",), app=broken))
    said = "\n".join(outcome.failures)
    assert "status_code_conformance" in said
    assert "GET /projects: response_schema_conformance" in said
    assert "Projects_list: <ValidationError" in said
