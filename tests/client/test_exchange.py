"""What comes back for each kind of answer and failure, over a fake of the API; sync and async."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from _support.fake_api import BASE_URL, KEY, FakeApi
from evrun import AsyncEvrun, Evrun, errors
from evrun._transport import http_clients
from evrun._transport.connection_settings import ConnectionSettings
from evrun._transport.messages import part_error
from evrun._transport.pool import Pool
from evrun_api.api.evaluations import evaluations_log
from evrun_api.api.projects import projects_get
from evrun_api.models import CreateEvaluationLogRequest, CreateLogResponse, LogRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from evrun.results import Project

GET = f"GET {BASE_URL}/projects/pr_1"
LOG = f"POST {BASE_URL}/evaluations/evrun_1/log"


@pytest.fixture(params=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Callable[[FakeApi], Project]:
    """Read a project through one kind of client: a call without side effects."""

    def sync(api: FakeApi) -> Project:
        with Evrun(
            api_key=KEY, base_url=BASE_URL, http_client=api.http_client(), max_retries=0
        ) as client:
            return client.projects.get("pr_1")

    async def awaited(api: FakeApi) -> Project:
        async with AsyncEvrun(
            api_key=KEY, base_url=BASE_URL, http_client=api.async_http_client(), max_retries=0
        ) as client:
            return await client.projects.get("pr_1")

    return sync if request.param == "sync" else lambda api: asyncio.run(awaited(api))


def log(api: FakeApi) -> Any:
    with Evrun(
        api_key=KEY, base_url=BASE_URL, http_client=api.http_client(), max_retries=0
    ) as client:
        return client.evaluations.log("evrun_1", datapoint_id="1", log={})


@pytest.mark.parametrize(
    ("status", "cls", "advice"),
    [
        (400, errors.BadRequestError, " The server could not read the request."),
        (401, errors.AuthenticationError, " Check api_key=… or EVRUN_API_KEY."),
        (403, errors.PermissionDeniedError, " The key may not do this."),
        (
            404,
            errors.NotFoundError,
            " Check the id, and that the key belongs to the organisation that owns it.",
        ),
        (409, errors.ConflictError, " Read the current state and decide again."),
        (413, errors.ContentTooLargeError, " Send less in one request."),
        (418, errors.StatusError, ""),
        (429, errors.RateLimitedError, " Send fewer requests at a time, or try again later."),
        (499, errors.StatusError, ""),
        (500, errors.ServerError, " It is safe to ask again."),
        (503, errors.ServerError, " It is safe to ask again."),
        (520, errors.ServerError, " It is safe to ask again."),
    ],
)
def test_each_status_has_its_error(
    get: Callable[[FakeApi], Project], status: int, cls: type[errors.StatusError], advice: str
) -> None:
    """A status outside 2xx, documented or not, is a typed error that says what to do."""
    api = FakeApi(
        status,
        json={"detail": "No such thing"},
        headers={"X-Request-ID": "r-1", "Retry-After": "7"},
    )
    with pytest.raises(errors.StatusError) as caught:
        get(api)
    error = caught.value
    assert type(error) is cls
    assert str(error) == f"{GET} answered {status}: No such thing.{advice}"
    assert (error.status, error.request_id, error.retry_after) == (status, "r-1", 7.0)
    assert (error.method, error.url) == ("GET", f"{BASE_URL}/projects/pr_1")
    assert error.body == '{"detail":"No such thing"}'
    assert len(api.requests) == 1


def test_a_422_names_the_places(get: Callable[[FakeApi], Project]) -> None:
    """The documented shape of a 422 becomes `fields`, and reads as paths."""
    api = FakeApi(
        422,
        {
            "detail": [
                {"loc": ["path", "id"], "msg": "not a project", "type": "id"},
                {"loc": ["query", "x", 0], "msg": "too long", "type": "length"},
            ]
        },
    )
    with pytest.raises(errors.UnprocessableEntityError) as caught:
        get(api)
    assert str(caught.value) == f"{GET} answered 422: path.id: not a project; query.x.0: too long."
    assert caught.value.fields == (
        errors.FieldError(("path", "id"), "not a project", "id"),
        errors.FieldError(("query", "x", 0), "too long", "length"),
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503])
def test_a_server_of_ours_says_itself_what_to_do(
    get: Callable[[FakeApi], Project], status: int
) -> None:
    """Its sentence stands alone, but for where this client has its key from."""
    api = FakeApi(
        status,
        json={"detail": "That is so. Do this."},
        headers={"Evrun-Capabilities": "idempotency=86400", "Retry-After": "7"},
    )
    with pytest.raises(errors.StatusError) as caught:
        get(api)
    own = " Check api_key=… or EVRUN_API_KEY." if status == 401 else ""
    assert str(caught.value) == f"{GET} answered {status}: That is so. Do this.{own}"


@pytest.mark.parametrize(
    ("headers", "advice"),
    [({}, " Read the current state and decide again."), ({"Evrun-Capabilities": "batch=1000"}, "")],
)
def test_a_part_of_many_is_told_like_a_whole(headers: dict[str, str], advice: str) -> None:
    """What is wrong with one of many logs comes with the same advice as for a single one."""
    request = httpx.Request("POST", f"{BASE_URL}/evaluations/evrun_1/logs")
    whole = httpx.Response(200, headers=headers, request=request)
    error = part_error(409, "It is there.", whole, {"logs": [{}]}, "items[1]")
    assert str(error) == f"items[1]: POST {request.url} answered 409: It is there.{advice}"


@pytest.mark.parametrize("headers", [{}, {"Evrun-Capabilities": "idempotency=86400"}])
def test_an_address_without_v4_is_pointed_out(headers: dict[str, str]) -> None:
    """A 404 below another path is about the address, whoever answers, and not about the key."""
    api = FakeApi(404, json={"detail": "Not Found"}, headers=headers)
    with (
        Evrun(api_key=KEY, base_url="http://evrun.test", http_client=api.http_client()) as client,
        pytest.raises(errors.NotFoundError) as caught,
    ):
        client.projects.get("pr_1")
    assert str(caught.value) == (
        "GET http://evrun.test/projects/pr_1 answered 404: Not Found. "
        "Is base_url (or EVRUN_BASE_URL) right? The address of a v4 API ends in /v4."
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"json": {"detail": "Only text"}}, ": Only text."),
        ({"json": {"detail": ["odd", {}]}}, ": : odd; : ."),
        ({"json": {"message": "x"}}, ': {"message":"x"}.'),
        ({"json": []}, ": []."),
        ({"text": "<html>\n  Bad gateway  </html>"}, ": <html> Bad gateway </html>."),
        ({"content": b"\xff\xfe"}, ": \ufffd\ufffd."),
        ({"content": b""}, "."),
    ],
    ids=str,
)
def test_an_error_of_any_shape_is_readable(
    get: Callable[[FakeApi], Project], body: dict[str, Any], said: str
) -> None:
    """A server, or a proxy in front of it, may answer anything: the message quotes it."""
    with pytest.raises(errors.UnprocessableEntityError) as caught:
        get(FakeApi(422, **body))
    assert str(caught.value) == f"{GET} answered 422{said}"


def test_an_error_carries_a_bounded_body(get: Callable[[FakeApi], Project]) -> None:
    """A huge error page costs 64 KiB in the error and one line in the message."""
    with pytest.raises(errors.ServerError) as caught:
        get(FakeApi(502, text="x" * 1_000_000))
    assert len(caught.value.body) == 65_536
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", ["Zürich".encode(), "Zürich".encode("latin-1"), b"\xff"])
def test_an_error_may_have_headers_of_any_bytes(
    get: Callable[[FakeApi], Project], value: bytes
) -> None:
    """A header that is no ASCII does not hide the error that it came with."""
    with pytest.raises(errors.NotFoundError, match="No such thing"):
        get(FakeApi(404, json={"detail": "No such thing"}, headers=[(b"X-Place", value)]))


def test_a_failed_write_says_that_it_may_have_happened() -> None:
    """After a 5xx or a lost answer to a POST nobody knows; the message says so."""
    with pytest.raises(errors.AmbiguousServerError) as caught:
        log(FakeApi(500, {"detail": "Oops"}))
    assert str(caught.value) == (
        f"{LOG} answered 500: Oops. "
        "The server may have carried it out: look before you send it again."
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_never_followed(get: Callable[[FakeApi], Project], status: int) -> None:
    """A redirect would carry the key to another origin: one request, and an error."""
    api = FakeApi(status, headers={"Location": "http://elsewhere.test/v4"})
    with pytest.raises(errors.RedirectError) as caught:
        get(api)
    assert str(caught.value) == (
        f"{GET} answered {status}: it points to http://elsewhere.test/v4. "
        "Redirects are not followed. Set base_url to the address that they lead to."
    )
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (
            200,
            {"html": "<h1>Sign in</h1>"},
            "the body is not JSON (text/html; charset=utf-8, 16 bytes)",
        ),
        (200, {"text": ""}, "the body is not JSON (text/plain; charset=utf-8, 0 bytes)"),
        (200, {"content": b'{"id": "pr_'}, "the body is not JSON (no content type, 11 bytes)"),
        (201, {"json": {}}, "the contract has no such status for this operation"),
        (204, {}, "the contract has no such status for this operation"),
        (299, {"json": {}}, "status 299 does not exist in HTTP"),
        (200, {"json": {}}, "it lacks the field 'id'"),
    ],
)
def test_a_success_that_is_none_is_an_error(
    get: Callable[[FakeApi], Project], status: int, body: dict[str, Any], problem: str
) -> None:
    """A 2xx that is not what the contract promises is never returned as if it were."""
    with pytest.raises(errors.DecodeError) as caught:
        get(FakeApi(status, **(body or {"content": b""})))
    assert str(caught.value) == (
        f"{GET} answered {status}, but {problem}. Is base_url the address of a v4 API?"
    )
    assert caught.value.status == status


def _raised(error: Exception) -> FakeApi:
    api = FakeApi()
    api.error = error
    return api


@pytest.mark.parametrize(
    ("error", "cls", "message"),
    [
        (
            httpx.ConnectError("refused"),
            errors.ConnectError,
            "cannot connect (refused). Nothing was sent. "
            "Is the server running there (`evrun serve`), and is EVRUN_BASE_URL right?",
        ),
        (
            httpx.ProxyError("407"),
            errors.ConnectError,
            "cannot connect (407). Nothing was sent. "
            "The proxy refused: check it where your http_client or transport is set up.",
        ),
        (
            httpx.ConnectTimeout("slow"),
            errors.ConnectTimeoutError,
            "no connection within 5 s. Nothing was sent. "
            "Is the server running there (`evrun serve`), and is EVRUN_BASE_URL right?",
        ),
        (
            httpx.PoolTimeout("busy"),
            errors.PoolTimeoutError,
            "no free connection within 60 s. Nothing was sent. "
            "Use fewer threads or tasks per client, or raise its concurrency=….",
        ),
        (
            httpx.ReadTimeout("slow"),
            errors.RequestTimeoutError,
            "no answer within 60 s. It is safe to ask again.",
        ),
        (
            httpx.WriteTimeout("slow"),
            errors.RequestTimeoutError,
            "no answer within 60 s. It is safe to ask again.",
        ),
        (
            httpx.RemoteProtocolError("peer closed"),
            errors.DisconnectedError,
            "the connection broke (peer closed). It is safe to ask again.",
        ),
        (
            httpx.ReadError(""),
            errors.DisconnectedError,
            "the connection broke (ReadError). It is safe to ask again.",
        ),
        (
            httpx.DecodingError("bad gzip"),
            errors.DisconnectedError,
            "the connection broke (bad gzip). It is safe to ask again.",
        ),
    ],
)
def test_no_exception_of_httpx_leaves_the_package(
    get: Callable[[FakeApi], Project],
    error: httpx.HTTPError,
    cls: type[errors.TransportError],
    message: str,
) -> None:
    """Each failure on the way has its error: what happened, whether it was sent, what to do."""
    with pytest.raises(errors.TransportError) as caught:
        get(_raised(error))
    assert type(caught.value) is cls
    assert str(caught.value) == f"{GET}: {message}"
    assert caught.value.__cause__ is error


def test_a_lost_answer_to_a_write_says_that_it_may_have_happened() -> None:
    """A POST without an answer has an unknown outcome, and the error says so."""
    with pytest.raises(errors.AmbiguousTimeoutError) as caught:
        log(_raised(httpx.ReadTimeout("slow")))
    assert str(caught.value) == (
        f"{LOG}: no answer within 60 s. "
        "The server may have carried it out: look before you send it again."
    )
    assert caught.value.sent


def test_the_generated_client_gets_the_same_errors() -> None:
    """`client.generated` runs over our transport: typed errors, our key header, no Bearer."""
    api = FakeApi(520, text="odd")
    with (
        Evrun(
            api_key=KEY, base_url=BASE_URL, http_client=api.http_client(), max_retries=0
        ) as client,
        pytest.raises(errors.ServerError),
    ):
        projects_get.sync_detailed("pr_1", client=client.generated)
    assert api.requests[0].headers["X-API-KEY"] == KEY
    assert "Authorization" not in api.requests[0].headers


def test_the_generated_client_works_as_its_own_documentation_says() -> None:
    """A generated function called directly returns the generated model."""
    api = FakeApi(201, {"id": "data_1", "project_id": "pr_1", "session_id": None})
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client()) as client:
        parsed = evaluations_log.sync(
            "evrun_1",
            client=client.generated,
            body=CreateEvaluationLogRequest(datapoint_id="1", log=LogRequest(output="Paris")),
        )
    assert isinstance(parsed, CreateLogResponse)
    assert parsed.id == "data_1"


def test_a_client_of_the_wrong_kind_says_which_one_to_use() -> None:
    """Awaiting a sync client, or the other way round, is an error with the way out."""
    api = FakeApi()
    with pytest.raises(errors.ConfigurationError, match="use AsyncEvrun, or pass an httpx.Client"):
        Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.async_http_client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(errors.ConfigurationError, match="use Evrun, or pass an httpx.AsyncClient"):
        AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sync = Evrun(api_key=KEY, base_url=BASE_URL)
    with pytest.raises(errors.ConfigurationError, match="use AsyncEvrun"):
        asyncio.run(projects_get.asyncio_detailed("pr_1", client=sync.generated))
    awaited = AsyncEvrun(api_key=KEY, base_url=BASE_URL)
    with pytest.raises(errors.ConfigurationError, match="use Evrun"):
        projects_get.sync_detailed("pr_1", client=awaited.generated)


def test_a_closed_client_says_so() -> None:
    """Using a client after closing it is our error, and closing twice is fine."""
    client = Evrun(api_key=KEY, base_url=BASE_URL, http_client=FakeApi().http_client())
    client.close()
    client.close()
    with pytest.raises(errors.ConfigurationError, match="This client was closed"):
        client.projects.get("pr_1")


def test_a_client_of_the_users_own_stays_open() -> None:
    """Who passes an http_client closes it; ours is closed with the client."""
    api = FakeApi(200, {"detail": "x"})
    http_client = api.http_client()
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=http_client):
        pass
    assert not http_client.is_closed


def test_threads_that_begin_together_share_one_connection_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first requests of several threads make one inner client, and not one each."""
    made: list[httpx.Client] = []
    api = FakeApi(200, {"detail": "x"})
    barrier = Barrier(8)

    def make(_: ConnectionSettings) -> httpx.Client:
        made.append(api.http_client())
        return made[-1]

    monkeypatch.setattr(http_clients, "new_client", make)
    pool = Pool(ConnectionSettings())

    def client(_: int) -> httpx.Client:
        barrier.wait()
        return pool.client()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(client, range(8))) == set(made)
    assert len(made) == 1
    pool.close()
    assert made[0].is_closed


def test_no_key_shows_in_a_repr() -> None:
    """Neither client nor the generated one inside prints its key."""
    client = Evrun(api_key=KEY, base_url=BASE_URL, http_client=FakeApi().http_client())
    client.generated.get_httpx_client()
    assert repr(client) == f"Evrun(base_url='{BASE_URL}')"
    assert KEY not in repr(client.generated)
