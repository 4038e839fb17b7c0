"""The names of the headers that client and server agree on."""

from __future__ import annotations

from typing import Final

API_KEY: Final = "X-API-KEY"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
CAPABILITIES: Final = "Evrun-Capabilities"
"""Each answer of our server has it. A client recognises our server by it."""
REQUEST_ID: Final = "X-Request-ID"
