"""Counts requests, and lets some of them ask for what is there: random ids find nothing."""

import atexit
import json
import os
import threading

import schemathesis

KNOWN = json.loads(os.environ["KNOWN"])
LOCK = threading.Lock()
COUNTS = {}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """About half of the values become known ones; which, the value itself says."""
    for name, known in KNOWN.items():
        value = (path_parameters or {}).get(name)
        if isinstance(value, str):
            at = sum(value.encode("utf-8", "replace")) % (2 * len(known))
            path_parameters[name] = known[at] if at < len(known) else value
    return path_parameters


@schemathesis.hook
def after_call(context, case, response):
    with LOCK:
        COUNTS[response.status_code] = COUNTS.get(response.status_code, 0) + 1


@atexit.register
def tell():
    with open(os.environ["COUNTS_FILE"], "w") as file:
        json.dump(COUNTS, file)
