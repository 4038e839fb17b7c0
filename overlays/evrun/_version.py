"""The version, for the User-Agent header; a test holds it against the packaging metadata."""

from typing import Final

__version__: Final = "0.1.0"
