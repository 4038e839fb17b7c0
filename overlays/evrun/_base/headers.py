"""The names of the headers that clients and our server agree on."""

from __future__ import annotations

from typing import Final

API_KEY: Final = "X-API-KEY"
CAPABILITIES: Final = "Evrun-Capabilities"
"""In every answer of our server, and known by it: what it can do, a dictionary of RFC 9651."""
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IDEMPOTENT_REPLAYED: Final = "Idempotent-Replayed"
REQUEST_ID: Final = "X-Request-ID"
SHOULD_RETRY: Final = "X-Should-Retry"
