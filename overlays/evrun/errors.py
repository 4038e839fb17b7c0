"""Everything that evrun raises.

    EvrunError
    ├── ConfigurationError            a key or an address is missing or unusable; nothing was sent
    ├── InvalidRequestError           an argument that the contract refuses; nothing was sent
    │   ├── InvalidIdError            an id of the wrong shape, or of another resource
    │   └── InvalidItemError          one of many logs has the wrong fields; `item` holds it
    ├── LogsFailedError               some of many logs failed; `again` holds what to send once more
    │   └── LogsStoppedError              …, and the run or the key would be refused for all others
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
        │   │   └── RedirectError              3xx: never followed, it would carry the key elsewhere
        │   └── DecodeError               a success that is not what the contract promises
        └── UnknownOutcomeError       a request that changes something may have been carried out
            ├── AmbiguousTimeoutError       …: also a RequestTimeoutError
            ├── AmbiguousDisconnectError    …: also a DisconnectedError
            └── AmbiguousServerError        …: also a ServerError

Data travels as attributes; every error pickles. No exception of httpx leaves the package. The three
of many logs are in `evrun.logged`, beside what they carry.

Beside them stands one warning, `MissedRecordsWarning`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from evrun._redaction import SentRequest

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
        # Exception's own way calls the class with the message alone and loses what is beside it.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[EvrunError], args: tuple[Any, ...], state: dict[str, Any]) -> EvrunError:
    error = cls.__new__(cls, *args)
    error.args = args  # OSError, below the time limits, leaves this to an __init__ that is not run
    error.__dict__.update(state)
    return error


class ConfigurationError(EvrunError):
    """The client cannot work as it was set up."""


class InvalidRequestError(EvrunError, ValueError):
    """An argument that the contract refuses. Nothing was sent."""

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        """The argument, with dots for what lies inside it: `log.session_id`."""


class InvalidIdError(InvalidRequestError):
    """A value that is not an id, or the id of another resource. Nothing was sent."""

    def __init__(self, message: str, *, parameter: str | None, value: str, expected: str) -> None:
        super().__init__(message, parameter=parameter)
        self.value = value
        """What came; its `repr` if it was no string."""
        self.expected = expected
        """What an id looks like here, in words."""


class RequestError(EvrunError):
    """A request was made and did not succeed."""

    attempts: int = 1
    """How often it was sent, or tried to be."""
    elapsed: float = 0.0
    """Seconds from the call to the error, waits included."""
    idempotency_key: str | None = None
    """The `Idempotency-Key` of all attempts. Sent again with it (`with_options(extra_headers=…)`),
    a server that recognises keys does the work at most once."""

    def __init__(self, message: str, *, request: SentRequest) -> None:
        super().__init__(message)
        self.request = request
        """What was sent: without keys, and the body cut at 64 KiB."""

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
    """No usable answer came. `sent` says whether the server may have acted on the request."""

    sent: ClassVar[bool] = True


class ConnectError(TransportError):
    """No connection could be made. Nothing was sent."""

    sent = False


class RequestTimeoutError(TransportError, TimeoutError):
    """A time limit passed before the answer was complete."""


class ConnectTimeoutError(RequestTimeoutError):
    """No connection in time. Nothing was sent."""

    sent = False


class PoolTimeoutError(RequestTimeoutError):
    """All connections of this client were busy for too long. Nothing was sent."""

    sent = False


class DisconnectedError(TransportError):
    """The connection broke on the way. The server may have received the request."""


class ResponseError(RequestError):
    """An answer came that is not a success."""

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
        """The answer's text, cut at 64 KiB."""
        self.request_id = request_id
        """The server's name for this exchange (`X-Request-ID`): quote it when you ask for help."""


class StatusError(ResponseError):
    """The server answered with a status outside 2xx."""

    retry_after: float | None = None
    """Seconds after which the server would like to hear from you again."""
    fields: tuple[FieldError, ...] = ()
    """The places that a 422 complains about."""


class BadRequestError(StatusError):
    """400: the server could not read the request."""


class AuthenticationError(StatusError):
    """401: no key, or one that the server does not know."""


class PermissionDeniedError(StatusError):
    """403: the key may not do this."""


class NotFoundError(StatusError):
    """404: the server knows no such object, or not for this key."""


class ConflictError(StatusError):
    """409: the request contradicts what is stored."""


class ContentTooLargeError(StatusError):
    """413: the body is larger than the server takes."""


class UnprocessableEntityError(StatusError):
    """422: the request reads well and breaks a rule. `fields` names the places."""


class RateLimitedError(StatusError):
    """429: too many requests; `retry_after` says when to come back."""


class ServerError(StatusError):
    """5xx: the server failed."""


class RedirectError(StatusError):
    """3xx: redirects are never followed, because the key would travel along."""


class DecodeError(ResponseError):
    """The answer is a success, yet not what the contract promises. `body` holds it.

    The server has carried out the request.
    """


class UnknownOutcomeError(RequestError):
    """A request that changes something may have been carried out, or may not.

    Look before you send it again; or send it again with the same `idempotency_key`, to a server
    that recognises it.
    """


class AmbiguousTimeoutError(UnknownOutcomeError, RequestTimeoutError):
    """No answer came in time to a request that changes something."""


class AmbiguousDisconnectError(UnknownOutcomeError, DisconnectedError):
    """The connection broke over a request that changes something."""


class AmbiguousServerError(UnknownOutcomeError, ServerError):
    """5xx to a request that changes something."""


class MissedRecordsWarning(UserWarning):
    """An iteration over pages may have missed records, because the list changed meanwhile.

    Only servers of another kind make it: evrun's go on behind the last record, and miss none.
    """


@frozen
class FieldError:
    """One complaint of a 422."""

    loc: tuple[str | int, ...]
    """The path to the place: `("body", "log", "session_id")`."""
    msg: str
    type: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.loc))}: {self.msg}"
