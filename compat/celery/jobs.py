"""The tasks that the worker imports."""

import os

from celery import Celery
from redis import Redis

redis = Redis.from_url(os.environ["REDIS_URL"])
app = Celery("compat", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True


def now():
    seconds, micros = redis.time()
    return seconds + micros / 1e6


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=1)
def fail_once(self):
    """Fails the first time it runs, and says the second time which run that is."""
    runs = redis.incr("compat:runs")
    if runs == 1:
        raise self.retry(countdown=1)
    return runs


@app.task
def say_when():
    return now()
