from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import update

from _support.served import BASE_URL, Api, Run, contract_operations
from evrun.server import (
    ConflictError,
    Database,
    InvalidValueError,
    NotFoundError,
    create_key,
    list_keys,
    revoke_key,
)
from evrun.server.api.app import create_app
from evrun.server.api.limits import UNAUTHENTICATED_BODY_LIMIT, Rate
from evrun.server.db.tables import api_keys
from evrun.server.errors import UnauthenticatedError
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.server.hosting.loop_thread import LoopThread
from evrun.server.store.api_keys import SCOPES, Authenticator, KeyScope

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_key_opens_the_default_organisation(database: Database, api: Api) -> None:
    """A stored key and the embedded server's own see the same objects."""
    key = create_key(database, "ci")
    assert re.fullmatch(r"evk_[0-9A-Za-z]{32,}", key)
    project = api.ok("Projects_create", {"name": "p"})
    assert Api(api.http._transport, key).ok("Projects_get", id=project["id"]) == project


def test_a_long_body_counts_once(database: Database) -> None:
    """Its key is looked up before and after it is read; the request is one of the key's rate."""
    host = LoopThread(create_app(database, local_key="k", rate=Rate(2, 3600)))
    try:
        for name, status in (("a", 201), ("b", 201), ("c", 429)):
            body = b'{"name": "%s"}' % name.encode() + b" " * UNAUTHENTICATED_BODY_LIMIT
            headers = {"X-API-KEY": "k"}
            request = httpx.Request("POST", f"{BASE_URL}/projects", headers=headers, content=body)
            assert host.submit(request, body).result(30).status_code == status
    finally:
        host.stop()


def test_only_a_key_that_was_good_is_met(database: Database) -> None:
    """Others cannot fill the memory by being remembered, nor take what is for those."""
    authenticator, key = Authenticator(), create_key(database, "good")
    assert not authenticator.has_met(key)
    database.read(lambda connection: authenticator.authenticate(connection, key))
    assert authenticator.has_met(key)
    with pytest.raises(UnauthenticatedError):
        database.read(lambda connection: authenticator.authenticate(connection, "stranger"))
    assert not authenticator.has_met("stranger")


@pytest.mark.both_databases
def test_only_a_hash_is_stored(database: Database, stored: Callable[[], bytes]) -> None:
    """The key is in no byte of the database; its first characters tell it from others."""
    key = create_key(database, "ci")
    (info,) = list_keys(database)
    assert (info.name, info.hint, info.revoked_at) == ("ci", key[:12], None)
    assert key.encode() not in stored()
    assert key[:12].encode() in stored()


@pytest.mark.both_databases
@pytest.mark.parametrize("by", ["name", "id", "hint"])
def test_a_revoked_key_stops_at_once(database: Database, api: Api, by: str) -> None:
    """By its name, id or first characters; the refusal says what happened."""
    key = create_key(database, "ci")
    client = Api(api.http._transport, key)
    client.ok("Projects_list")
    revoke_key(database, getattr(list_keys(database)[0], by))
    response = client.send("Projects_list")
    assert response.status_code == 401
    assert "revoked" in response.json()["detail"]
    assert response.headers["WWW-Authenticate"]
    with pytest.raises(NotFoundError, match="No key in use"):
        revoke_key(database, "ci")


@pytest.mark.both_databases
def test_a_name_in_use_is_not_given_twice(database: Database) -> None:
    """After it was revoked it may be."""
    create_key(database, "ci")
    with pytest.raises(ConflictError, match="already"):
        create_key(database, "ci")
    revoke_key(database, "ci")
    create_key(database, "ci")
    assert [each.revoked_at is None for each in list_keys(database)] == [False, True]


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a\x1b[2J", "a\0", "a\u202eb", "a\u2028b", "\ud800", "x" * 201]
)
def test_a_name_that_cannot_be_shown_is_refused(database: Database, name: str) -> None:
    """It stands in lists and in answers: one to 200 printable characters."""
    with pytest.raises(
        InvalidValueError, match="has 1 to 200 printable characters, in one line"
    ) as caught:
        create_key(database, name)
    assert str(caught.value).isprintable()
    create_key(database, "x" * 200)
    create_key(database, "Jürgens [bold]Rechner[/]; 鍵")
    assert len(list_keys(database)) == 2


def test_an_old_name_does_nothing_to_a_terminal(database: Database, api: Api) -> None:
    """One from before names were checked is shown with escapes, and found by its own name."""
    name = "a\x1b[2J\nb"
    key = create_key(database, "ci")
    database.write(lambda connection: connection.execute(update(api_keys).values(name=name)))
    (info,) = list_keys(database)
    assert (info.name, info.label) == (name, r"a\x1b[2J\nb")
    revoke_key(database, name)
    response = Api(api.http._transport, key).send("Projects_list")
    assert response.json()["detail"].startswith(r"This key (a\x1b[2J\nb) was revoked.")


def test_the_embedded_key_ends_with_its_server(server: EmbeddedServer, url: str) -> None:
    """It is stored nowhere and opens nothing elsewhere."""
    other = EmbeddedServer(Database(url))
    assert Api(server.transport(), server.key).send("Projects_list").status_code == 200
    assert Api(server.transport(), other.key).send("Projects_list").status_code == 401
    other.close()


METHODS: dict[KeyScope, set[str]] = {
    "read": {"GET"},
    "write": {"GET", "POST", "PATCH"},
    "admin": {"GET", "POST", "PATCH", "DELETE"},
}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_allows_what_its_scope_says(database: Database, api: Api, scope: KeyScope) -> None:
    """On every operation: what is not allowed is 403, before anything else is looked at."""
    client = Api(api.http._transport, create_key(database, "ci", scope=scope))
    allowed = set()
    for operation_id, (method, path, _) in contract_operations().items():
        names = re.findall(r"{(\w+)}", path)
        response = client.send(operation_id, content=b"{", **dict.fromkeys(names, "x"))
        if response.status_code == 403:
            assert f"{method} needs one with the scope" in response.json()["detail"]
        else:
            allowed.add(method)
    assert allowed == METHODS[scope]


def test_a_key_that_may_only_look_changes_nothing(database: Database, run: Run) -> None:
    """It reads a run and cannot log to it; with `write` the same request succeeds."""
    reader = Api(run.api.http._transport, create_key(database, "reader", scope="read"))
    assert reader.ok("Evaluations_get", id=run.id)["id"] == run.id
    refused = reader.send("Evaluations_log", run.log_body(output="x"), **run.path)
    assert refused.status_code == 403
    assert "--scope write" in refused.json()["detail"]
    assert reader.ok("Logs_list", project_id=run.project_id)["total"] == 0
    writer = Api(run.api.http._transport, create_key(database, "writer", scope="write"))
    assert writer.ok("Evaluations_log", run.log_body(output="x"), **run.path)["id"]
    assert writer.send("Evaluators_delete", id=run.evaluator_id).status_code == 403
    assert run.api.ok("Evaluators_get", id=run.evaluator_id)


@pytest.mark.both_databases
def test_a_key_expires(database: Database, api: Api) -> None:
    """Before its end it is good, from then on 401 says when it was; its name is free again."""
    good = create_key(database, "ci", expires_in=timedelta(days=30))
    assert Api(api.http._transport, good).send("Projects_list").status_code == 200
    with pytest.raises(ConflictError, match="already"):
        create_key(database, "ci")
    revoke_key(database, "ci")
    expired = create_key(database, "ci", expires_in=timedelta(0))
    response = Api(api.http._transport, expired).send("Projects_list")
    assert response.status_code == 401
    instant = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d"
    assert re.match(rf"This key \(ci\) expired at {instant}", response.json()["detail"])
    create_key(database, "ci")
    assert [each.in_use for each in list_keys(database)] == [False, False, True]
