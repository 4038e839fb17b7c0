"""What tests share: servers, fakes, databases, and the programs that tests start."""

from pathlib import Path

SUPPORT = Path(__file__).parent
"""Where the programs are that tests start as processes."""
