"""A fake of the API: a callable that records requests and answers as it was told."""

from __future__ import annotations

import json
from typing import Any

import httpx

KEY = "evk_0123456789abcdefghijklmnopqrstuv"
BASE_URL = "http://evrun.test/v4"


class FakeApi:
    """Answers every request alike; `requests` holds what came."""

    def __init__(self, status: int = 201, body: Any = None, **response: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._status = status
        self._response = response or {"json": body}
        self.error: Exception | None = None

    def answer_with(self, status: int, body: Any) -> None:
        """Answer differently from now on."""
        self._status, self._response = status, {"json": body}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Record `request` and answer it."""
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return httpx.Response(self._status, **self._response)

    @property
    def sent(self) -> Any:
        """The JSON body of the only request."""
        (request,) = self.requests
        return json.loads(request.content)

    def http_client(self) -> httpx.Client:
        """Return a client whose requests end here."""
        return httpx.Client(transport=httpx.MockTransport(self))

    def async_http_client(self) -> httpx.AsyncClient:
        """Return an async client whose requests end here."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self))
