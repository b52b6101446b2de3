"""arq: a job enqueued and run by `arq`, one that asks to be tried again, one that is deferred."""

import asyncio
import subprocess

from arq import create_pool

import jobs

PATIENCE_S = 40
DELAY_S = 1


async def run():
    pool = await create_pool(jobs.settings)
    begun = await jobs.say_when({"redis": pool})
    plain = await pool.enqueue_job("add", 2, 3)
    failing = await pool.enqueue_job("fail_once")
    late = await pool.enqueue_job("say_when", _defer_by=DELAY_S)
    # A job of an id that is there already is not enqueued again.
    once = await pool.enqueue_job("add", 1, 1, _job_id="once")
    assert await pool.enqueue_job("add", 1, 1, _job_id="once") is None
    worker = subprocess.Popen(["arq", "jobs.WorkerSettings"], stderr=subprocess.DEVNULL)
    try:
        assert await plain.result(timeout=PATIENCE_S) == 5
        assert await once.result(timeout=PATIENCE_S) == 2
        assert await failing.result(timeout=PATIENCE_S) == 2
        # arq counts in whole milliseconds.
        assert await late.result(timeout=PATIENCE_S) >= begun + DELAY_S - 0.002
    finally:
        worker.terminate()
        worker.wait(20)


asyncio.run(run())
print("ok")
