"""Everything that evrun raises.

    EvrunError
    ├── ConfigurationError            a key or an address is missing or unusable; nothing was sent
    ├── InvalidRequestError           an argument that the contract refuses; nothing was sent
    │   ├── InvalidIdError            an id of the wrong shape, or of another resource
    │   └── InvalidItemError          one of many logs has the wrong fields; `item` holds it
    ├── LogsFailedError               some of many logs failed; `again` holds what to send once more
    │   └── LogsStoppedError              …, and the run or the key would fail for all others
    └── RequestError                  a request was made and did not succeed
        ├── TransportError            no usable answer came
        │   ├── ConnectError              no connection: nothing was sent
        │   ├── RequestTimeoutError       a time limit or the deadline passed
        │   │   ├── ConnectTimeoutError   while connecting: nothing was sent
        │   │   └── PoolTimeoutError      while waiting for a free connection: nothing was sent
        │   └── DisconnectedError         the connection broke
        ├── ResponseError             an answer came that is not a success
        │   ├── StatusError               the server refused
        │   │   ├── BadRequestError            400
        │   │   ├── AuthenticationError        401
        │   │   ├── PermissionDeniedError      403
        │   │   ├── NotFoundError              404
        │   │   ├── ConflictError              409
        │   │   ├── ContentTooLargeError       413
        │   │   ├── UnprocessableEntityError   422, with the places in `fields`
        │   │   ├── RateLimitedError           429
        │   │   ├── ServerError                5xx
        │   │   └── RedirectError              3xx: never followed, the key would go elsewhere
        │   └── DecodeError               a success that does not fit the contract
        └── UnknownOutcomeError       a request that changes something may have been carried out
            ├── AmbiguousTimeoutError       …: also a RequestTimeoutError
            ├── AmbiguousDisconnectError    …: also a DisconnectedError
            └── AmbiguousServerError        …: also a ServerError

Data is in attributes, and every error pickles. evrun raises no exception of httpx. The three errors
of many logs are in `evrun.logged`, beside their data.

There is one warning, `MissedRecordsWarning`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from evrun._base.redaction import SentRequest

__all__ = [
    "AmbiguousDisconnectError",
    "AmbiguousServerError",
    "AmbiguousTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeoutError",
    "ContentTooLargeError",
    "DecodeError",
    "DisconnectedError",
    "EvrunError",
    "FieldError",
    "InvalidIdError",
    "InvalidRequestError",
    "MissedRecordsWarning",
    "NotFoundError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "RateLimitedError",
    "RedirectError",
    "RequestError",
    "RequestTimeoutError",
    "ResponseError",
    "ServerError",
    "StatusError",
    "TransportError",
    "UnknownOutcomeError",
    "UnprocessableEntityError",
]


class EvrunError(Exception):
    """The root of every error that evrun raises."""

    def __reduce__(self) -> tuple[Callable[..., EvrunError], tuple[Any, ...]]:
        # `Exception.__reduce__` calls the class with the message only, and loses the attributes.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[EvrunError], args: tuple[Any, ...], state: dict[str, Any]) -> EvrunError:
    error = cls.__new__(cls, *args)
    error.args = args  # OSError, a base of timeouts, sets this in __init__, which does not run here
    error.__dict__.update(state)
    return error


class ConfigurationError(EvrunError):
    """The settings of the client are missing or unusable. Nothing was sent."""


class InvalidRequestError(EvrunError, ValueError):
    """The contract does not allow an argument. Nothing was sent."""

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        """The argument, with dots for nested fields: `log.session_id`."""


class InvalidIdError(InvalidRequestError):
    """A value is not an id, or is the id of another resource. Nothing was sent."""

    def __init__(self, message: str, *, parameter: str | None, value: str, expected: str) -> None:
        super().__init__(message, parameter=parameter)
        self.value = value
        """The value; its `repr` if it was not a string."""
        self.expected = expected
        """A description of a valid id, in words."""


class RequestError(EvrunError):
    """A request did not succeed."""

    attempts: int = 1
    """The number of attempts to send it."""
    elapsed: float = 0.0
    """Seconds from the call to the error, including waits."""
    idempotency_key: str | None = None
    """The `Idempotency-Key` of all attempts. To send the request again, send this key too
    (`with_options(extra_headers=…)`): a server that recognises keys does the work at most once."""

    def __init__(self, message: str, *, request: SentRequest) -> None:
        super().__init__(message)
        self.request = request
        """The request, without keys and with the body cut at 64 KiB."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @property
    def url(self) -> str:
        """The address, with its query."""
        return self.request.url

    def as_curl(self) -> str:
        """Return a shell command that sends the same request; the key is `$EVRUN_API_KEY` in it."""
        return self.request.as_curl()


class TransportError(RequestError):
    """No usable response came. `sent` says whether the server may have acted on the request."""

    sent: ClassVar[bool] = True


class ConnectError(TransportError):
    """The client could not connect. Nothing was sent."""

    sent = False


class RequestTimeoutError(TransportError, TimeoutError):
    """A timeout passed before the response was complete."""


class ConnectTimeoutError(RequestTimeoutError):
    """The client could not connect in time. Nothing was sent."""

    sent = False


class PoolTimeoutError(RequestTimeoutError):
    """All connections of this client were busy until the timeout. Nothing was sent."""

    sent = False


class DisconnectedError(TransportError):
    """The connection broke. The server may have received the request."""


class ResponseError(RequestError):
    """The response is not a success."""

    def __init__(
        self,
        message: str,
        *,
        request: SentRequest,
        status: int,
        body: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, request=request)
        self.status = status
        self.body = body
        """The text of the response, cut at 64 KiB."""
        self.request_id = request_id
        """The server's id for this request (`X-Request-ID`). Quote it when you ask for help."""


class StatusError(ResponseError):
    """The server answered with a status outside 2xx."""

    retry_after: float | None = None
    """Seconds to wait before the next attempt, as the server asks."""
    fields: tuple[FieldError, ...] = ()
    """The invalid places, for a 422."""


class BadRequestError(StatusError):
    """400: the server could not read the request."""


class AuthenticationError(StatusError):
    """401: the key is missing, or the server does not know it."""


class PermissionDeniedError(StatusError):
    """403: the key does not allow this."""


class NotFoundError(StatusError):
    """404: the object does not exist, or the key has no access to it."""


class ConflictError(StatusError):
    """409: the request contradicts what is stored."""


class ContentTooLargeError(StatusError):
    """413: the body is larger than the server accepts."""


class UnprocessableEntityError(StatusError):
    """422: the request breaks a rule of the contract. `fields` names the places."""


class RateLimitedError(StatusError):
    """429: too many requests. `retry_after` says when to try again."""


class ServerError(StatusError):
    """5xx: the server failed."""


class RedirectError(StatusError):
    """3xx: evrun never follows redirects, because it would send the key elsewhere."""


class DecodeError(ResponseError):
    """The response is a success, but does not fit the contract. `body` has its text.

    The server has carried out the request.
    """


class UnknownOutcomeError(RequestError):
    """It is unknown whether the server carried out a request that changes something.

    Check before you send it again, or send it again with the same `idempotency_key` to a server
    that recognises it.
    """


class AmbiguousTimeoutError(UnknownOutcomeError, RequestTimeoutError):
    """A timeout passed for a request that changes something."""


class AmbiguousDisconnectError(UnknownOutcomeError, DisconnectedError):
    """The connection broke during a request that changes something."""


class AmbiguousServerError(UnknownOutcomeError, ServerError):
    """5xx for a request that changes something."""


class MissedRecordsWarning(UserWarning):
    """An iteration over pages may have missed records, because the list changed meanwhile.

    This happens only with other servers. evrun's servers page by cursor, and miss no record.
    """


@frozen
class FieldError:
    """One error of a 422."""

    loc: tuple[str | int, ...]
    """The path to the place: `("body", "log", "session_id")`."""
    msg: str
    type: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.loc))}: {self.msg}"
