"""Faults on purpose, so that what talks to the server can be tested against them.

`schedule` says which requests go wrong and how, `file` reads that from TOML, `plan` decides request
by request, `injection` does it, and `connection` closes connections. Never active unless asked for.
"""

from evrun.server.api.faults.file import read_schedule
from evrun.server.api.faults.plan import Faults, Happened
from evrun.server.api.faults.schedule import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    InvalidScheduleError,
    Rule,
    Schedule,
    Status,
    Truncate,
)

__all__ = [
    "Delay",
    "Drop",
    "Duplicate",
    "Fault",
    "Faults",
    "Happened",
    "InvalidScheduleError",
    "Rule",
    "Schedule",
    "Status",
    "Truncate",
    "read_schedule",
]
