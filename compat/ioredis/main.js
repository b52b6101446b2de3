// ioredis: a job through a list, one that is claimed again from a stream, one that is due later; and pipelines,
// transactions, scripts, channels and scans.
const assert = require("node:assert");
const { Redis } = require("ioredis");

const DELAY_MS = 500;
const MOVE = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local moved = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)
for _, job in ipairs(moved) do redis.call('ZREM', KEYS[1], job) redis.call('LPUSH', KEYS[2], job) end
return #moved`;

async function main() {
  const client = new Redis(process.env.REDIS_URL);
  const other = new Redis(process.env.REDIS_URL);
  client.defineCommand("moveDue", { numberOfKeys: 2, lua: MOVE });

  const waiting = other.blmove("jobs", "mine", "RIGHT", "LEFT", 10);
  await client.lpush("jobs", "plain");
  assert.strictEqual(await waiting, "plain");
  assert.strictEqual(await client.lrem("mine", 1, "plain"), 1);

  await client.xgroup("CREATE", "stream", "workers", "0", "MKSTREAM");
  const entry = await client.xadd("stream", "*", "kind", "failing");
  await client.xreadgroup("GROUP", "workers", "first", "COUNT", 1, "STREAMS", "stream", ">");
  const [, claimed] = await other.xautoclaim("stream", "workers", "second", 0, "0");
  assert.deepStrictEqual(claimed, [[entry, ["kind", "failing"]]]);
  assert.strictEqual((await client.xpending("stream", "workers", "-", "+", 10))[0][3], 2);
  assert.strictEqual(await other.xack("stream", "workers", entry), 1);

  const now = async () => ((t) => Number(t[0]) * 1000 + Math.floor(Number(t[1]) / 1000))(await client.time());
  const due = (await now()) + DELAY_MS;
  await client.zadd("schedule", due, "late");
  assert.strictEqual(await client.moveDue("schedule", "jobs"), 0);
  while ((await client.moveDue("schedule", "jobs")) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok((await now()) >= due);
  assert.deepStrictEqual(await client.brpop("jobs", 1), ["jobs", "late"]);

  const replies = await client.multi().set("counter", 1).incrby("counter", 4).exec();
  assert.deepStrictEqual(replies, [[null, "OK"], [null, 5]]);
  const piped = await client.pipeline().hset("hash", { a: 1, b: 2 }).hgetall("hash").lpush("hash", "x").exec();
  assert.deepStrictEqual(piped[1], [null, { a: "1", b: "2" }]);
  assert.match(piped[2][0].message, /^WRONGTYPE/);
  await client.watch("counter");
  await other.incr("counter");
  assert.strictEqual(await client.multi().set("counter", 0).exec(), null);

  await other.subscribe("news");
  const heard = new Promise((resolve) => other.on("message", (channel, text) => resolve([channel, text])));
  assert.strictEqual(await client.publish("news", "hello"), 1);
  assert.deepStrictEqual(await heard, ["news", "hello"]);

  await client.mset(Object.fromEntries([...Array(100).keys()].map((n) => [`many:${n}`, n])));
  let seen = 0;
  for await (const keys of client.scanStream({ match: "many:*" })) seen += keys.length;
  assert.ok(seen >= 100);
  assert.ok(Buffer.from([0, 255]).equals(await client.set("bytes", Buffer.from([0, 255])).then(() => client.getBuffer("bytes"))));
  client.disconnect();
  other.disconnect();
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
