"""Why the server says no. The store raises these; only `app` turns them into HTTP.

Refusal
├── Forbidden      403: the key is good, and does not allow this
├── NotFound       404: no such object, or another organisation's
├── TooSlow        408: the request dripped in
├── Conflict       409: contradicts what is stored
├── TooLarge       413: the body is longer than the server takes
├── Rule           422: reads well and breaks a rule, with the place
│   └── Undecodable 422: the body is not what Content-Encoding says
├── TooMany        429: the key has used up its rate
├── OutcomeUnknown 500: the database failed while it committed
└── Unavailable    503: the database cannot serve now; the same request may succeed later
    ├── OutOfOrder 503: and it will not, before a person has mended it
    └── Stopping   503: it will not serve here any more
"""

from __future__ import annotations

Location = tuple[str | int, ...]


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """The root. Its text is the sentence that the caller reads."""


class Forbidden(Refusal):
    """The key does not allow this."""


class NotFound(Refusal):
    """No such object for this key."""


class Conflict(Refusal):
    """The request contradicts what is stored."""


class Rule(Refusal):
    """The request breaks a rule.

    `loc` is the path of a field, empty for the whole request: the API says in which part of the
    request the field stands (`Operation.located`). `type` names the rule for programs.
    """

    def __init__(self, loc: Location, msg: str, *, type: str = "value_error") -> None:  # noqa: A002
        super().__init__(msg)
        self.loc = loc
        self.msg = msg
        self.type = type


class TooSlow(Refusal):
    """The request dripped in."""


class TooLarge(Refusal):
    """The body is longer than the server takes."""


class Undecodable(Rule):
    """The body is not what its `Content-Encoding` says, or the server does not know that one."""

    def __init__(self, msg: str) -> None:
        super().__init__(("content_encoding",), msg, type="content_encoding")


class TooMany(Refusal):
    """The key has used up its rate. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """The database cannot serve now. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutOfOrder(Unavailable):
    """Nobody needs to ask again before a person has done what the sentence says."""


class Stopping(Unavailable):
    """The server takes no more requests."""

    def __init__(self) -> None:
        super().__init__("The server is stopping and takes no more requests.")


class OutcomeUnknown(Refusal):
    """The change may be stored or not."""


class DatabaseUnusable(Exception):  # noqa: N818 - as above
    """The database cannot be opened, and will not be by trying again."""
