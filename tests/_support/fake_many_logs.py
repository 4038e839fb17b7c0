"""A fake of a server that takes many logs, or single ones only."""

from __future__ import annotations

import gzip
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx

from _support.client_methods import shown

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = shown("Evaluations_get", None)


class Server:
    """A server of many logs, or of single ones only, that remembers keys as ours does."""

    def __init__(self, batch: int = 1000) -> None:
        self.batch = batch
        self.status = "running"
        """Of the run."""
        self.limit = 10**9
        """Bytes of a body."""
        self.gets: list[httpx.Request] = []
        self.posts: list[httpx.Request] = []
        self.stored: dict[str, Any] = {}
        """Bodies by key, in the order in which they came."""
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.after: Callable[[httpx.Response], httpx.Response] = lambda response: response
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        capabilities = "idempotency=86400" + (f", batch={self.batch}" if self.batch else "")
        headers = {"Evrun-Capabilities": capabilities, "X-Request-ID": "r1"}
        if request.method == "GET":
            self.gets.append(request)
            run = {**RUN, "status": self.status}
            return self.before(request) or httpx.Response(200, json=run, headers=headers)
        with self._lock:
            self.posts.append(request)
            answer = self.before(request) or self._answer(request)
            answer.headers.update(headers)
            return self.after(answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = read(request)
        if len(json.dumps(body)) > self.limit:
            return httpx.Response(413, json={"detail": "Too large."})
        if request.url.path.endswith("/log"):
            key = request.headers["Idempotency-Key"]
            status, said = self._store(key, {**body, **dict(request.url.params)})
            return httpx.Response(status, json=said)
        if not self.batch:
            return httpx.Response(404, json={"detail": "There is nothing here."})
        results = []
        for item in body["logs"]:
            status, said = self._store(item.pop("idempotency_key"), item)
            good = {"status": 201, "log": said, "replayed": False}
            results.append(good if status == 201 else {"status": status, **said})
        return httpx.Response(200, json={"results": results})

    def _store(self, key: str, body: Any) -> tuple[int, Any]:
        if body["datapoint_id"] == "bad":
            detail = {"loc": ["body", "datapoint_id"], "msg": "No such row.", "type": "x"}
            return 422, {"detail": [detail]}
        if body["datapoint_id"] == "taken":
            return 409, {"detail": "It is taken."}
        if self.status != "running":
            detail = {"loc": ["path", "evaluation_id"], "msg": "No.", "type": "run_status"}
            return 422, {"detail": [detail]}
        assert self.stored.setdefault(key, body) == body
        number = list(self.stored).index(key)
        return 201, {"id": f"data_{number}", "project_id": "pr_1"}

    @property
    def outputs(self) -> list[str]:
        """What is stored, in the order in which it came."""
        return [body["log"]["output"] for body in self.stored.values()]


def read(request: httpx.Request) -> Any:
    content = request.content
    encoded = request.headers.get("Content-Encoding") == "gzip"
    return json.loads(gzip.decompress(content) if encoded else content)


def items(number: int, **log: Any) -> list[dict[str, Any]]:
    return [{"datapoint_id": f"row-{n}", "log": {"output": str(n), **log}} for n in range(number)]
