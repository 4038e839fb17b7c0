from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from served import Api

from evrun.server import Conflict, Database, NotFound, create_key, list_keys, revoke_key
from evrun.server.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_key_opens_the_default_organisation(database: Database, api: Api) -> None:
    """A stored key and the embedded server's own see the same objects."""
    key = create_key(database, "ci")
    assert re.fullmatch(r"evk_[0-9A-Za-z]{32,}", key)
    project = api.ok("Projects_create", {"name": "p"})
    assert Api(api.http._transport, key).ok("Projects_get", id=project["id"]) == project


def test_only_a_hash_is_stored(database: Database, stored: Callable[[], bytes]) -> None:
    """The key is in no byte of the database; its first characters tell it from others."""
    key = create_key(database, "ci")
    (info,) = list_keys(database)
    assert (info.name, info.hint, info.revoked_at) == ("ci", key[:12], None)
    assert key.encode() not in stored()
    assert key[:12].encode() in stored()


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
    with pytest.raises(NotFound, match="No key in use"):
        revoke_key(database, "ci")


def test_a_name_in_use_is_not_given_twice(database: Database) -> None:
    """After it was revoked it may be."""
    create_key(database, "ci")
    with pytest.raises(Conflict, match="already"):
        create_key(database, "ci")
    revoke_key(database, "ci")
    create_key(database, "ci")
    assert [each.revoked_at is None for each in list_keys(database)] == [False, True]


def test_the_embedded_key_ends_with_its_server(server: EmbeddedServer, url: str) -> None:
    """It is stored nowhere and opens nothing elsewhere."""
    other = EmbeddedServer(Database(url))
    assert Api(server.transport(), server.key).send("Projects_list").status_code == 200
    assert Api(server.transport(), other.key).send("Projects_list").status_code == 401
    other.close()
