"""Test a pipeline with the real server and with failing requests. Needs `evrun[server]`.

`no_waits` lets clients skip the waits between attempts, so that tests of retries take no time.

The fixtures of the pytest plugin are in `evrun_pytest`, which imports this when a test uses them.
"""

from evrun.server.api.faults import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Faults,
    Happened,
    InvalidScheduleError,
    Rule,
    Schedule,
    Status,
    Truncate,
    read_schedule,
)
from evrun.server.api.limits import Rate
from evrun.server.hosting.protocol import ConnectionLimits
from evrun.server.hosting.serve import Settings
from evrun.testing.seeding import ROWS, Seeded, seed
from evrun.testing.serving import Server
from evrun.testing.waiting import no_waits

__all__ = [
    "ROWS",
    "ConnectionLimits",
    "Delay",
    "Drop",
    "Duplicate",
    "Fault",
    "Faults",
    "Happened",
    "InvalidScheduleError",
    "Rate",
    "Rule",
    "Schedule",
    "Seeded",
    "Server",
    "Settings",
    "Status",
    "Truncate",
    "no_waits",
    "read_schedule",
    "seed",
]
