"""walrus: jobs through a consumer group of a stream, one that is claimed again, one that is due later; and the
containers, lock, cache, limit, search and models that it builds of Redis's types and scripts."""

import os
import time
from urllib.parse import urlsplit

from walrus import Database, Model, TextField, IntegerField

DELAY_MS = 500

url = urlsplit(os.environ["REDIS_URL"])
db = Database(host=url.hostname, port=url.port, db=0)


def now_ms():
    seconds, micros = db.time()
    return seconds * 1000 + micros // 1000


# A job is an entry, taking it makes it pending, and one that was taken and not acknowledged is claimed by the next.
group = db.consumer_group("workers", ["jobs"], consumer="first")
group.create()
group.set_id("$")
plain = group.jobs.add({"kind": "plain"})
failing = group.jobs.add({"kind": "failing"})
taken = group.read(count=10)
assert [entry[0] for entry in taken[0][1]] == [plain, failing], taken
assert group.jobs.ack(plain) == 1
second = group.consumer("second")
assert [entry["message_id"] for entry in second.jobs.pending()] == [failing]
assert [entry[0] for entry in second.jobs.claim(failing)] == [failing]
assert second.jobs.pending()[0]["times_delivered"] == 2
assert second.jobs.ack(failing) == 1 and second.jobs.pending() == []

# A job that is due later waits in a sorted set and is moved to the stream when it is due.
schedule = db.ZSet("schedule")
due = now_ms() + DELAY_MS
schedule.add({"late": due})
move = db.register_script(
    "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
    "local moved = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10) "
    "for _, job in ipairs(moved) do redis.call('ZREM', KEYS[1], job) redis.call('XADD', KEYS[2], '*', 'kind', job) end "
    "return #moved"
)
assert move(keys=["schedule", "jobs"]) == 0
while move(keys=["schedule", "jobs"]) == 0:
    time.sleep(0.02)
assert now_ms() >= due and len(schedule) == 0
assert group.read(count=1)[0][1][0][1] == {b"kind": b"late"}

# Containers.
hash_ = db.Hash("hash")
hash_.update({"a": "1", "b": "2"})
assert hash_["a"] == b"1" and len(hash_) == 2 and hash_.incr("a", 4) == 5
items = db.List("list")
items.extend([b"x", b"y", b"z"])
assert items.popleft() == b"x" and items[-1] == b"z" and len(items) == 2
left, right = db.Set("left"), db.Set("right")
left.add("a", "b")
right.add("b", "c")
assert left & right == {b"b"} and left | right == {b"a", b"b", b"c"}
scores = db.ZSet("scores")
scores.add({"low": 1, "high": 9})
assert scores.rank("high") == 1 and scores.score("high") == 9.0
bits = db.bit_field("bits")
bits[0:8] = 200
assert bits[0:8] == 200 and bits.bit_count() == 3
bloom = db.bloom_filter("bloom")
bloom.add("seen")
assert "seen" in bloom and "unseen" not in bloom

# What is built of them, in part by scripts.
with db.lock("lock", ttl=5000):
    assert not db.lock("lock", ttl=5000).acquire(block=False)
cache = db.cache("cache")
cache.set("key", {"value": 1}, 10)
assert cache.get("key") == {"value": 1} and cache.get("none") is None
limit = db.rate_limit("limit", limit=2, per=60)
assert [limit.limit("client") for _ in range(3)] == [False, False, True]
words = db.autocomplete("words")
for title in ["durable jobs", "durable data", "fast jobs"]:
    words.store(title)
assert sorted(words.search("dur")) == ["durable data", "durable jobs"]


class User(Model):
    __database__ = db
    name = TextField(primary_key=True)
    age = IntegerField(index=True)


User.create(name="ann", age=30)
User.create(name="bob", age=50)
assert [user.name for user in User.query(User.age > 40)] == ["bob"]
print("ok")
