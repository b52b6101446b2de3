// BullMQ: a job added and worked, one that fails and is tried again, one that is delayed, a flow of a parent and its
// children, a repeated one, and the events of all of them.
const assert = require("node:assert");
const { Queue, QueueEvents, Worker, FlowProducer } = require("bullmq");

const PATIENCE_MS = 40_000;
const DELAY_MS = 1000;

async function main() {
  const url = new URL(process.env.REDIS_URL);
  const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
  const queue = new Queue("compat", { connection });
  const events = new QueueEvents("compat", { connection });
  const flows = new FlowProducer({ connection });
  await events.waitUntilReady();

  const handlers = {
    add: (job) => job.data.left + job.data.right,
    fail_once: (job) => {
      if (job.attemptsMade === 0) throw new Error("the first run fails, as it is to");
      return job.attemptsMade + 1;
    },
    say_when: () => Date.now(),
    total: async (job) => Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0),
    tick: () => "tick",
  };
  const worker = new Worker("compat", async (job) => handlers[job.name](job), { connection, concurrency: 2 });
  const begun = Date.now();
  const plain = await queue.add("add", { left: 2, right: 3 });
  const failing = await queue.add("fail_once", {}, { attempts: 2, backoff: { type: "fixed", delay: 200 } });
  const late = await queue.add("say_when", {}, { delay: DELAY_MS });
  const urgent = await queue.addBulk([1, 2, 3].map((n) => ({ name: "add", data: { left: n, right: n }, opts: { priority: n } })));
  const child = (n) => ({ name: "add", queueName: "compat", data: { left: n, right: n } });
  const flow = await flows.add({ name: "total", queueName: "compat", children: [child(1), child(2)] });
  const done = (job) => job.waitUntilFinished(events, PATIENCE_MS);
  assert.strictEqual(await done(plain), 5);
  assert.strictEqual(await done(failing), 2);
  assert.ok((await done(late)) >= begun + DELAY_MS - 2);
  assert.deepStrictEqual(await Promise.all(urgent.map(done)), [2, 4, 6]);
  assert.strictEqual(await done(flow.job), 6);

  const ticked = new Promise((resolve) => events.on("completed", ({ returnvalue }) => returnvalue === "tick" && resolve()));
  await queue.upsertJobScheduler("every", { every: 500 }, { name: "tick" });
  await ticked;
  await queue.removeJobScheduler("every");
  const counts = await queue.getJobCounts("failed", "active", "waiting");
  assert.deepStrictEqual(counts, { failed: 0, active: 0, waiting: 0 });
  await Promise.all([worker.close(), events.close(), queue.close(), flows.close()]);
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
