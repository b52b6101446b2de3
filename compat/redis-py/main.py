"""redis-py: a job through a list, one that is claimed again from a stream, one that is due later, in both protocols;
and what clients do besides: pipelines, transactions, scripts, channels, blocking and asynchronous calls."""

import asyncio
import os
import threading
import time

import redis
import redis.asyncio

DELAY_MS = 500
MOVE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local moved = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 10)
for _, job in ipairs(moved) do redis.call('ZREM', KEYS[1], job) redis.call('LPUSH', KEYS[2], job) end
return #moved
"""


def work(protocol):
    client = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=protocol, decode_responses=True)
    client.flushall()
    assert client.ping()

    # A job in a list: a worker waits for it, and keeps it in a list of its own until it is done.
    taken = []
    worker = threading.Thread(target=lambda: taken.append(client.blmove("jobs", "mine", 10, "RIGHT", "LEFT")))
    worker.start()
    client.lpush("jobs", "plain")
    worker.join(15)
    assert taken == ["plain"] and client.lrem("mine", 1, "plain") == 1

    # Retry: an entry that the first worker does not acknowledge is claimed by the second.
    client.xgroup_create("stream", "workers", id="0", mkstream=True)
    entry = client.xadd("stream", {"kind": "failing"})
    assert client.xreadgroup("workers", "first", {"stream": ">"}, count=1, block=1000)
    _, claimed, _ = client.xautoclaim("stream", "workers", "second", min_idle_time=0)
    assert claimed == [(entry, {"kind": "failing"})], claimed
    assert client.xpending_range("stream", "workers", "-", "+", 10)[0]["times_delivered"] == 2
    assert client.xack("stream", "workers", entry) == 1

    # Delay: moved when due and no sooner.
    now_ms = lambda: (lambda t: t[0] * 1000 + t[1] // 1000)(client.time())
    due = now_ms() + DELAY_MS
    client.zadd("schedule", {"late": due})
    move = client.register_script(MOVE)
    assert move(keys=["schedule", "jobs"]) == 0
    while move(keys=["schedule", "jobs"]) == 0:
        time.sleep(0.02)
    assert now_ms() >= due and client.brpop("jobs", 1) == (["jobs", "late"] if protocol == 3 else ("jobs", "late"))

    with client.pipeline(transaction=True) as pipe:
        pipe.watch("counter")
        pipe.multi()
        pipe.set("counter", 1, ex=100).incrby("counter", 4).ttl("counter")
        assert pipe.execute() == [True, 5, 100]
    with client.pipeline() as pipe:
        pipe.watch("counter")
        client.incr("counter")
        pipe.multi()
        pipe.set("counter", 0)
        try:
            pipe.execute()
            raise AssertionError("a watched key changed, and the transaction ran")
        except redis.WatchError:
            pass
    assert client.hset("hash", mapping={"a": 1, "b": 2}) == 2 and client.hgetall("hash") == {"a": "1", "b": "2"}
    try:
        client.lpush("counter", "x")
        raise AssertionError("a list was pushed to a string")
    except redis.ResponseError as error:
        assert str(error).startswith("WRONGTYPE"), error
    assert {key for key in client.scan_iter(match="h*")} == {"hash"}
    with client.lock("lock", timeout=5) as lock:
        assert lock.owned() and not client.lock("lock", timeout=5).acquire(blocking=False)

    channel = client.pubsub()
    channel.subscribe("news")
    assert channel.get_message(timeout=5)["type"] == "subscribe"
    assert client.publish("news", "hello") == 1
    assert channel.get_message(timeout=5)["data"] == "hello"
    channel.close()
    client.close()


async def work_asynchronously():
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    waiting = asyncio.create_task(client.blpop(["later"], timeout=10))
    other = client.client()
    await other.rpush("later", "job")
    assert tuple(await waiting) == ("later", "job")
    await asyncio.gather(*(client.incr("together") for _ in range(20)))
    assert await client.get("together") == "20"
    await other.aclose()
    await client.aclose()


work(protocol=2)
work(protocol=3)
asyncio.run(work_asynchronously())
print("ok")
