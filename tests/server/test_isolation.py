"""Two organisations on one server: to each, what belongs to the other does not exist.

The sites are enumerated from the contract: every id in every parameter and body.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from _openapi.identifiers import id_sites
from _support.contract_examples import ID, STORY, Ids, request, tell
from _support.databases import KINDS, fresh
from _support.served import MISSING, Api, contract, contract_operations
from evrun.server import Database, create_key
from evrun.server.db.organisations import find_or_create
from evrun.server.db.tables import api_keys
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

pytestmark = pytest.mark.both_databases

LOG = "Evaluations_log"
LOG_MANY = "Evaluations_logMany"

# Ids that no example sends: of the story's objects, by the site that takes them.
FURTHER: tuple[tuple[str, str, str], ...] = (
    (LOG, "log.project_id", "Projects_get.id"),
    (LOG, "log.config_id", "ModelConfigs_get.id"),
    (LOG, "log.source_datapoint_id", "Datapoints_get.id"),
    (LOG, "log.parent_id", "Logs_get.id"),
    (LOG_MANY, "logs.evaluatee_id", "Evaluations_log.evaluatee_id"),
    (LOG_MANY, "logs.log.session_id", "Sessions_get.id"),
    (LOG_MANY, "logs.log.project_id", "Projects_get.id"),
    (LOG_MANY, "logs.log.config_id", "ModelConfigs_get.id"),
    (LOG_MANY, "logs.log.source_datapoint_id", "Datapoints_get.id"),
    (LOG_MANY, "logs.log.parent_id", "Logs_get.id"),
    ("Evaluations_addEvaluators", "evaluator_version_ids", ""),
)

# Names that name nothing here: this server keeps no directories and no linked tools, and the
# feedback that comes with a log must not name another.
NAMING_NOTHING = {
    ("Projects_create", "directory_id"),
    ("ModelConfigs_register", "tools.id"),
    (LOG, "log.config.tools.id"),
    (LOG, "log.feedback.data_id"),
    (LOG_MANY, "logs.log.config.tools.id"),
    (LOG_MANY, "logs.log.feedback.data_id"),
}

# Filters narrow a list: what is not there leaves it empty.
FILTERS = {
    ("Evaluations_list", "id"),
    ("Evaluations_list", "id_filter"),
    ("Evaluations_list", "evaluatee_id"),
    ("Evaluations_listAllForProject", "evaluatee_id"),
}

# What a log says of its run is held against the run, whoever owns what it names.
CONTRADICTIONS = {
    (operation, prefix + site)
    for operation, prefix in ((LOG, ""), (LOG_MANY, "logs."))
    for site in ("datapoint_id", "log.project_id", "log.config_id", "log.source_datapoint_id")
}


def sites(name: str) -> set[str]:
    """Return the ids that a request of this operation can carry."""
    operation, schemas = contract_operations()[name][2], contract()["components"]["schemas"]
    parameters = (p for p in operation.get("parameters", ()) if [*id_sites(p["schema"], schemas)])
    body = operation.get("requestBody")
    inside = body["content"]["application/json"]["schema"] if body else {}
    return {p["name"] for p in parameters} | set(id_sites(inside, schemas))


def carried(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted path and the value of every id in an example."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from carried(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for value in node:
            yield from carried(value, path)
    elif isinstance(node, str) and ID.fullmatch(node):
        yield path, node


Case = tuple[str, str, str, dict[str, Any], Any]


def cases() -> Iterator[Case]:
    """Yield operation, site, the example's id there, and the example's request."""
    for name, example in STORY:
        given, body = _alone(name, *request(name, example))
        for site, value in {**dict(carried(given)), **dict(carried(body))}.items():
            yield name, site, value, given, body
    for name, site, source in FURTHER:
        # This example is for another datapoint than the one that is put beside it.
        example = "full" if name == LOG else None
        given, body = _alone(name, *request(name, example))
        if source:
            operation, parameter = source.split(".")
            value = request(operation, None)[0][parameter]
            *parents, field = site.split(".")
            place = body["logs"][0] if "logs" in parents else body
            (place["log"] if "log" in parents else place)[field] = value
        else:
            value = VERSION
            body[site] = [value]
        yield name, site, value, given, body


def _alone(name: str, given: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
    """Return an own copy of a request; of many logs only the first, which is no repeated one.

    The example's second is refused for another reason than an id.
    """
    given, body = copy.deepcopy((given, body))
    if name == LOG_MANY:
        body["logs"] = body["logs"][:1]
        del body["logs"][0]["idempotency_key"]
    return given, body


def _version() -> str:
    answer = contract_operations()["Evaluations_get"][2]["responses"]["200"]
    shown = answer["content"]["application/json"]["example"]
    version: str = shown["evaluator_aggregates"][0]["evaluator_version_id"]
    return version


VERSION = _version()
CASES = list(cases())


class Two:
    """Both organisations after each has lived through the whole story."""

    def __init__(self, ours: Api, theirs: Api) -> None:
        self.ours, self.theirs = ours, theirs
        self.our_ids, self.their_ids = tell(ours), tell(theirs)

    def send(self, name: str, swapped: dict[str, str], given: Any, body: Any) -> httpx.Response:
        """Send our request with one id swapped."""

        def real(example: Any) -> Any:
            ids = Ids(swapped, self.our_ids)
            return ids.real(example)

        return self.ours.send(name, real(body), **real(given))


@pytest.fixture(scope="module", params=KINDS)
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Return two organisations on one server."""
    with fresh(request, tmp_path_factory.mktemp("two") / "evals.db") as url:
        database = Database(url)
        key = create_key(database, "theirs")
        others = database.write(lambda connection: find_or_create(connection, "others"))
        moved = update(api_keys).values(organisation_id=others)
        database.write(lambda connection: connection.execute(moved))
        server = EmbeddedServer(database)
        ours, theirs = Api(server.transport(), server.key), Api(server.transport(), key)
        yield Two(ours, theirs)
        ours.http.close()
        theirs.http.close()
        server.close()


def test_every_id_of_every_operation_is_tried() -> None:
    """The cases are the contract's sites, but for those that name nothing on this server."""
    wanted = {(name, site) for name in contract_operations() for site in sites(name)}
    assert {(name, site) for name, site, *_ in CASES} == wanted - NAMING_NOTHING


def _status(answer: httpx.Response, site: str) -> int:
    """Return what became of the request, or of that one of many logs that holds the site."""
    if not site.startswith("logs."):
        return answer.status_code
    (result,) = answer.json()["results"]
    return int(result["status"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_foreign_id_is_an_unknown_id(two: Two, case: Case) -> None:
    """Another organisation's id is answered word for word as one that does not exist."""
    name, site, value, given, body = case
    foreign = two.their_ids.real(value)
    unknown = f"{value.partition('_')[0]}_{MISSING}"
    answers = [two.send(name, {value: each}, given, body) for each in (foreign, unknown)]
    if (name, site) in FILTERS:
        shown = answers[0].json()
        assert (shown if isinstance(shown, list) else shown["records"]) == []
    else:
        expected = 422 if (name, site) in CONTRADICTIONS else 404
        assert [_status(each, site) for each in answers] == [expected, expected]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].text.replace(foreign, "") == answers[1].text.replace(unknown, "")


@pytest.mark.parametrize("name", sorted(contract_operations()))
def test_no_answer_shows_what_is_another_organisations(two: Two, name: str) -> None:
    """Whatever the operation answers, in either organisation, holds no id of the other."""
    for example in (example for each, example in STORY if each == name):
        given, body = request(name, example)
        answer = two.ours.send(name, two.our_ids.real(body), **two.our_ids.real(given))
        assert [each for each in two.their_ids.all() if each in answer.text] == []
        answer = two.theirs.send(name, two.their_ids.real(body), **two.their_ids.real(given))
        assert [each for each in two.our_ids.all() if each in answer.text] == []


def test_names_and_references_are_each_organisations_own(two: Two) -> None:
    """The same project name, log reference and session reference exist in both, apart."""
    for api in (two.ours, two.theirs):
        assert api.ok("Projects_list", filter="capitals")["total"] == 1
    given, body = request(LOG, "output")
    own = {**body, "log": {"reference_id": "only-ours"}}
    two.ours.ok(LOG, two.our_ids.real(own), **two.our_ids.real(given))
    for field in ("parent_id", "parent_reference_id"):
        child = {**body, "log": {field: "only-ours"}}
        two.theirs.missing(LOG, two.their_ids.real(child), **two.their_ids.real(given))
    two.theirs.missing("Logs_updateByRef", {}, reference_id="only-ours")
    changed = two.ours.ok("Logs_updateByRef", {"output": "ours"}, reference_id="capitals-peru")
    two.theirs.missing("Logs_get", id=changed["id"])
    found = two.theirs.ok("Logs_updateByRef", {"duration": 1.0}, reference_id="capitals-peru")
    assert (found["output"], found["id"] == changed["id"]) == ("Lima", False)
    log = {"output": "x", "session_reference_id": "same", "reference_id": "same"}
    answers = []
    for api, ids in ((two.ours, two.our_ids), (two.theirs, two.their_ids)):
        given, body = request(LOG, "output")
        answers.append(api.ok(LOG, ids.real({**body, "log": log}), **ids.real(given)))
    assert answers[0]["session_id"] != answers[1]["session_id"]
    two.theirs.missing("Sessions_get", id=answers[0]["session_id"])


def test_a_cursor_opens_nothing(two: Two) -> None:
    """Ours shows them, under their key, their own records behind it, and no list of ours."""
    two.ours.ok("Projects_create", {"name": "zagreb"})
    given = {"sort_by": "created_at", "order": "asc", "size": 1}
    cursor = two.ours.ok("Projects_list", **given)["next_cursor"]
    for shown in two.theirs.ok("Projects_list", **given, cursor=cursor)["records"]:
        two.theirs.ok("Projects_get", id=shown["id"])
        two.ours.missing("Projects_get", id=shown["id"])
    given = {"dataset_id": two.our_ids.real(request("Datasets_get", None)[0]["id"]), "size": 1}
    cursor = two.ours.ok("Datasets_listDatapoints", **given)["next_cursor"]
    two.theirs.missing("Datasets_listDatapoints", **given, cursor=cursor)
