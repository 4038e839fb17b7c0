"""Log a number of outputs to a run through `Evrun.local`: started as a process by its tests."""

from __future__ import annotations

import sys

from evrun import Evrun

path, run_id, datapoint_id, number = sys.argv[1:]
with Evrun.local(path) as client:
    run = client.run(run_id)
    for n in range(int(number)):
        run.log(datapoint_id, log={"output": str(n)})
