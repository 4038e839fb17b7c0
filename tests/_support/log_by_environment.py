"""Use two clients as the environment says: started as a process by the tests of logging."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from evrun import Evrun, EvrunError

(base_url,) = sys.argv[1:]
with (
    Evrun(api_key="evk_of_another_client", base_url=base_url),
    Evrun(api_key=os.environ["KEY"], base_url=base_url) as client,
    suppress(EvrunError),
):
    client.with_options(extra_headers={"X-Gateway-Token": "gateway-secret"}).evaluations.create(
        project_id="pr_1",
        config_id="config_1",
        dataset_id="evts_1",
        evaluator_ids=[],
        provider_api_keys={"openai": "provider-secret"},
    )
