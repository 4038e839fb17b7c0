"""The metrics at `/metrics`, for Prometheus. They need no key, and name no run and no person.

The label `route` is a route of the contract, never a path: the number of series stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.responses import Response

from evrun._version import __version__
from evrun.server.api.context import RequestContext
from evrun_models.contract import SHA256

if TYPE_CHECKING:
    from starlette.requests import Request

    from evrun.server.api.access_log import AccessRecord

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        about = Info(
            "evrun_build", "The version, and the contract that it speaks.", registry=registry
        )
        about.info({"version": __version__, "contract": SHA256})
        self._requests = Counter(
            "evrun_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "evrun_request_seconds",
            "From the head of a request to the last byte of its answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._received = Counter(
            "evrun_received_bytes", "Bytes of bodies that came.", registry=registry
        )
        self._sent = Counter("evrun_sent_bytes", "Bytes of bodies that left.", registry=registry)
        self.connections = Gauge(
            "evrun_connections", "Connections that are open.", registry=registry
        )

    def __call__(self, record: AccessRecord) -> None:
        """Count a request."""
        route = record.route or "none"
        self._requests.labels(record.method, route, str(record.status)).inc()
        self._seconds.labels(record.method, route).observe(record.seconds)
        self._received.inc(record.received)
        self._sent.inc(record.sent)

    async def endpoint(self, request: Request) -> Response:
        """Return all metrics."""
        RequestContext.of(request.scope).route = "/metrics"
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
