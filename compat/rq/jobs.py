"""The jobs that the worker imports."""

import os

from redis import Redis

redis = Redis.from_url(os.environ["REDIS_URL"])


def add(left, right):
    return left + right


def fail_once():
    """Fails the first time it runs, and says the second time which run that is."""
    runs = redis.incr("compat:runs")
    if runs == 1:
        raise RuntimeError("the first run fails, as it is to")
    return runs


def say_when():
    seconds, micros = redis.time()
    return seconds + micros / 1e6
