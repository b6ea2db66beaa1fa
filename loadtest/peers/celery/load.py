"""Keeps a Celery busy for a while and prints what it did, as JSON.

python load.py chain10|noop1|fan100 SECONDS AT_ONCE
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

from celery import chain, chord, group

from tasks import app, noop

# How long a worker may take to answer, and one execution to end, in seconds.
READY_LIMIT = 60
END_LIMIT = 60
WARM_UP = 3

SHAPES = {
    "noop1": (1, lambda: noop.si()),
    "chain10": (10, lambda: chain(*[noop.si() for _ in range(10)])),
    "fan100": (101, lambda: chord(group(*[noop.si() for _ in range(100)]), noop.s())),
}


def start_worker():
    arguments = ["-A", "tasks", "worker", "-P", "prefork", "-c", str(os.cpu_count()), "-l", "ERROR"]
    worker = subprocess.Popen([sys.executable, "-m", "celery", *arguments])
    until = time.monotonic() + READY_LIMIT
    while not app.control.ping(timeout=1):
        if worker.poll() is not None or time.monotonic() > until:
            raise SystemExit("the Celery worker does not answer")
    return worker


def keep_busy(shape, until, ended):
    while time.monotonic() < until:
        began = time.monotonic()
        shape().apply_async().get(timeout=END_LIMIT)
        ended.append((began, time.monotonic()))


def main():
    workload, seconds, at_once = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    stages, shape = SHAPES[workload]
    worker = start_worker()
    try:
        ended = []
        measured_from = time.monotonic() + WARM_UP
        until = measured_from + seconds
        busy = [threading.Thread(target=keep_busy, args=(shape, until, ended)) for _ in range(at_once)]
        for one in busy:
            one.start()
        time.sleep(WARM_UP)
        print(json.dumps({"measuring": True}), flush=True)
        time.sleep(seconds)
        print(json.dumps({"measured": True}), flush=True)
        for one in busy:
            one.join()
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=READY_LIMIT)
    inside = [end - began for began, end in ended if measured_from <= end < until]
    times = [round(took * 1000, 3) for took in sorted(inside)]
    print(json.dumps({"stages": len(inside) * stages, "seconds": seconds, "times_ms": times}), flush=True)


if __name__ == "__main__":
    main()
