from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from _support.contract_examples import STORY, bodies, examples, tell
from _support.served import contract_operations
from evrun.server.api.routes import OPERATIONS

if TYPE_CHECKING:
    from _support.served import Api

pytestmark = pytest.mark.both_databases


def test_the_story_tells_every_example() -> None:
    """No operation, and no example of one, is left out."""
    told = {
        (name, example)
        for name, (_, _, operation) in contract_operations().items()
        for media in bodies(operation, OPERATIONS[name].status)
        for example in examples(media)
    }
    without_body = {name for name in contract_operations() if name not in dict(told)}
    assert set(STORY) == told | {(name, None) for name in without_body}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_shows_how_it_is_called(name: str) -> None:
    """Each required parameter and each body has an example, with the same names on both sides."""
    operation = contract_operations()[name][2]
    for each in operation.get("parameters", ()):
        assert "example" in each or not each["required"], each["name"]
    named = [set(examples(media)) for media in bodies(operation, OPERATIONS[name].status)]
    assert all(names and names == named[0] for names in named)


def test_the_examples_hold(api: Api) -> None:
    """Sent in order, every example is accepted and answered as the contract shows it."""
    tell(api)
