"""Submits chains and chords, as it is told on the standard input; `conversation.mjs` says how.

Results are published by Redis as they are stored: one subscription hears of all of them.
"""

import json
import os
import platform
import sys
import threading
import time

import celery
import redis
from celery import chain, chord, group

from tasks import noop

END_LIMIT = 120
LOOK_INTERVAL = 0.05
PREFIX = "celery-task-meta-"


def chain_of(execution, length):
    return chain(*[noop.si(execution, stage, stage == length - 1) for stage in range(length)])


def fan_of(execution, branches):
    header = group(*[noop.si(execution, stage, False) for stage in range(branches)])
    return chord(header, noop.si(execution, branches, True))


class Load:
    def __init__(self):
        self.results = redis.Redis.from_url(os.environ["REDIS_URL"]).pubsub()
        self.results.psubscribe(PREFIX + "*")
        self.results.get_message(timeout=END_LIMIT)
        self.waiting = {}
        self.executions = []
        self.count = 0

    def submit(self, prefix, shape):
        execution = f"{prefix}-{self.count}"
        self.count += 1
        build = chain_of if "chain" in shape else fan_of
        work = build(execution, *shape.values())
        began = time.time_ns()
        self.waiting[work.apply_async().id] = (execution, began)

    def hear(self):
        """Whether one has ended."""
        message = self.results.get_message(timeout=LOOK_INTERVAL)
        if not message:
            return False
        told = json.loads(message["data"])
        if told["status"] != "SUCCESS":
            raise SystemExit(f"a task failed: {told}")
        ended = self.waiting.pop(told["task_id"], None)
        if ended:
            self.executions.append((*ended, time.time_ns()))
        return ended is not None

    def keep_busy(self, is_over, shape, at_once, prefix):
        self.executions, self.count = [], 0
        for _ in range(at_once):
            self.submit(prefix, shape)
        heard = time.monotonic()
        while self.waiting:
            if self.hear():
                heard = time.monotonic()
                if not is_over.is_set():
                    self.submit(prefix, shape)
            if time.monotonic() - heard > END_LIMIT:
                raise SystemExit(f"{len(self.waiting)} executions have not ended")
        return self.executions


def say(what):
    print(json.dumps(what), flush=True)


def listen(is_over):
    """Waits for the end of a trial, beside it."""
    for line in sys.stdin:
        if "end" in json.loads(line):
            is_over.set()
            return
    os._exit(0)


def main():
    load = Load()
    over = threading.Event()
    over.set()
    load.keep_busy(over, {"chain": 1}, 1, "ready")
    say({"ready": {"celery": celery.__version__, "python": platform.python_version()}})
    for line in sys.stdin:
        order = json.loads(line)["begin"]
        is_over = threading.Event()
        threading.Thread(target=listen, args=(is_over,), daemon=True).start()
        say({"executions": load.keep_busy(is_over, **order)})


if __name__ == "__main__":
    main()
