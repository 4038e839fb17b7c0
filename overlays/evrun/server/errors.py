"""The server's errors: each class carries the status and the headers of its answer.

ServerError
├── DatabaseUnusableError        the database cannot be opened
└── ApiError                     the answer to a request
    ├── MalformedRequestError    400: the request is not valid HTTP/1.1
    ├── DisconnectedError        400: the client went away before its request was complete
    ├── UnauthenticatedError     401: no key, or a key that is not valid
    ├── ForbiddenError           403: the key does not allow this request
    ├── NotFoundError            404: there is no such object in the key's organisation
    ├── RequestTimeoutError      408: the request came too slowly
    ├── ConflictError            409: the request contradicts what is stored
    ├── BodyTooLargeError        413: the body is over the limit
    ├── AddressTooLongError      414: path and query are over the limit
    ├── UnprocessableError       422: the request does not fit the contract
    │   └── InvalidValueError    422: one value breaks a rule
    │       └── ContentEncodingError  422: the server cannot decode the body
    ├── RateLimitError           429: the key has used up its rate
    ├── HeadTooLargeError        431: the request's headers are over the limit
    ├── InternalError            500: a defect of the server
    ├── OutcomeUnknownError      500: the change may be stored or not
    │   └── InterruptedRequestError  500: the server stopped before the request was done
    └── UnavailableError         503: nothing was changed; the same request may succeed later
        ├── RepairNeededError    503: a person has to act first
        ├── ConnectionLimitError 503: too many connections are open
        └── ShuttingDownError    503: the server takes no more requests
"""

from __future__ import annotations

from typing import Any, ClassVar

from evrun._base.headers import SHOULD_RETRY

Location = tuple[str | int, ...]

_CLOSE = {"Connection": "close"}


class ServerError(Exception):
    """The root."""


class DatabaseUnusableError(ServerError):
    """The database cannot be opened, and trying again does not help."""


class ApiError(ServerError):
    """The answer to a request. Its text is the `detail` that the client reads."""

    status: ClassVar[int]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, besides those that every answer has."""
        return {}

    @property
    def detail(self) -> Any:
        """The `detail` of the answer, as JSON data."""
        return str(self)


class _ClosingError(ApiError):
    """After the answer the server closes the connection."""

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, **_CLOSE}


class MalformedRequestError(_ClosingError):
    """The request is not valid HTTP/1.1."""

    status = 400


class DisconnectedError(ApiError):
    """The client went away before its request was complete: nobody reads the answer."""

    status = 400


class UnauthenticatedError(ApiError):
    """There is no key, or it is not valid."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """Names the scheme, as RFC 9110 section 15.5.2 demands."""
        return {"WWW-Authenticate": "ApiKey"}


class ForbiddenError(ApiError):
    """The key does not allow this."""

    status = 403


class NotFoundError(ApiError):
    """There is no such object for this key."""

    status = 404


class RequestTimeoutError(_ClosingError):
    """The request came too slowly."""

    status = 408


class ConflictError(ApiError):
    """The request contradicts what is stored."""

    status = 409


class BodyTooLargeError(ApiError):
    """The body is longer than the server takes."""

    status = 413


class AddressTooLongError(_ClosingError):
    """Path and query are longer than the server takes."""

    status = 414


class UnprocessableError(ApiError):
    """The request does not fit the contract. `details` has a `loc`, `msg` and `type` per place."""

    status = 422

    def __init__(self, details: list[dict[str, Any]]) -> None:
        super().__init__(details[0]["msg"])
        self.details = details

    @classmethod
    def at(cls, loc: Location, msg: str, *, type: str) -> UnprocessableError:  # noqa: A002
        """Return the error of one place."""
        return UnprocessableError([{"loc": list(loc), "msg": msg, "type": type}])

    @property
    def detail(self) -> Any:
        """The details."""
        return self.details


class InvalidValueError(UnprocessableError):
    """A value breaks a rule.

    `loc` is the path of a field, empty for the whole request: the API says in which part of the
    request the field is (`Operation.located`). `type` names the rule for programs.
    """

    def __init__(self, loc: Location, msg: str, *, type: str = "value_error") -> None:  # noqa: A002
        super().__init__([{"loc": list(loc), "msg": msg, "type": type}])
        self.loc = loc
        self.msg = msg
        self.type = type

    def located(self, loc: Location) -> UnprocessableError:
        """Return the same error at a place of the request."""
        return self.at(loc, self.msg, type=self.type)


class ContentEncodingError(InvalidValueError):
    """The body does not match its `Content-Encoding`, or the server does not know that one."""

    def __init__(self, msg: str) -> None:
        super().__init__(("content_encoding",), msg, type="content_encoding")


class RateLimitError(ApiError):
    """The key has used up its rate. `retry_after` is in seconds."""

    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Says how long to wait."""
        return {"Retry-After": str(self.retry_after)}


class HeadTooLargeError(_ClosingError):
    """The request line and the headers are longer than the server takes."""

    status = 431


class InternalError(ApiError):
    """The server has a defect; its log has the details."""

    status = 500


class OutcomeUnknownError(ApiError):
    """The change may be stored or not."""

    status = 500


class InterruptedRequestError(_ClosingError, OutcomeUnknownError):
    """The server stopped before the request was done."""


class UnavailableError(ApiError):
    """The server cannot do this now. `retry_after` is in seconds."""

    status = 503

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Says how long to wait."""
        return {"Retry-After": str(self.retry_after)}


class RepairNeededError(UnavailableError):
    """The same request fails until a person has done what the message says."""

    @property
    def headers(self) -> dict[str, str]:
        """Tells clients not to retry: ours read it, and so do other SDKs."""
        return {**super().headers, SHOULD_RETRY: "false"}


class ConnectionLimitError(_ClosingError, UnavailableError):
    """Too many connections are open."""


class ShuttingDownError(_ClosingError, UnavailableError):
    """The server takes no more requests."""

    def __init__(self) -> None:
        super().__init__("The server is stopping and takes no more requests.")
