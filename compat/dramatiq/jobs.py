"""The actors that the worker imports."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from redis import Redis

redis = Redis.from_url(os.environ["REDIS_URL"])
broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["REDIS_URL"])))
dramatiq.set_broker(broker)


def now():
    seconds, micros = redis.time()
    return seconds + micros / 1e6


@dramatiq.actor(store_results=True)
def add(left, right):
    return left + right


@dramatiq.actor(store_results=True, max_retries=1, min_backoff=100, max_backoff=1000)
def fail_once():
    """Fails the first time it runs, and says the second time which run that is."""
    runs = redis.incr("compat:runs")
    if runs == 1:
        raise RuntimeError("the first run fails, as it is to")
    return runs


@dramatiq.actor(store_results=True)
def say_when():
    return now()
