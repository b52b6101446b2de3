"""The functions that the worker imports."""

import os

from arq import Retry
from arq.connections import RedisSettings

settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])


async def add(context, left, right):
    return left + right


async def fail_once(context):
    """Asks to be tried again the first time, and says the second time which attempt that is."""
    if context["job_try"] == 1:
        raise Retry(defer=1)
    return context["job_try"]


async def say_when(context):
    seconds, micros = await context["redis"].time()
    return seconds + micros / 1e6


class WorkerSettings:
    redis_settings = settings
    functions = [add, fail_once, say_when]
