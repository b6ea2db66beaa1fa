"""A task that does nothing, as durable as Celery makes it."""

import os

from celery import Celery

app = Celery("tasks", broker=os.environ["AMQP_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=16,
    result_expires=600,
)


@app.task
def noop(*_results):
    return None
