"""The tasks that the consumer imports."""

import os

from huey import RedisHuey
from huey.exceptions import TaskException  # noqa: F401: for who waits

huey = RedisHuey("compat", url=os.environ["REDIS_URL"])
redis = huey.storage.conn


def now():
    seconds, micros = redis.time()
    return seconds + micros / 1e6


@huey.task()
def add(left, right):
    return left + right


@huey.task(retries=1, retry_delay=1)
def fail_once():
    """Fails the first time it runs, and says the second time which run that is."""
    runs = redis.incr("compat:runs")
    if runs == 1:
        raise RuntimeError("the first run fails, as it is to")
    return runs


@huey.task()
def say_when():
    return now()


@huey.task()
@huey.lock_task("compat-lock")
def locked():
    return "locked"
