"""RQ: a job pushed and worked by `rq worker`, one that fails and is tried again, one that is due later."""

import os
import subprocess
import time
from datetime import timedelta

from rq import Queue, Retry

import jobs

PATIENCE_S = 40
DELAY_S = 2

queue = Queue("compat", connection=jobs.redis)
begun = jobs.say_when()
plain = queue.enqueue(jobs.add, 2, 3)
failing = queue.enqueue(jobs.fail_once, retry=Retry(max=1, interval=1))
late = queue.enqueue_in(timedelta(seconds=DELAY_S), jobs.say_when)

worker = subprocess.Popen(["rq", "worker", "--with-scheduler", "--url", os.environ["REDIS_URL"], "--quiet", "compat"])
try:
    deadline = time.monotonic() + PATIENCE_S
    waiting = [plain, failing, late]
    while waiting and time.monotonic() < deadline:
        waiting = [job for job in waiting if not job.is_finished]
        time.sleep(0.05)
    assert not waiting, [(job.func_name, job.get_status()) for job in waiting]
    assert plain.return_value() == 5, plain.return_value()
    assert failing.return_value() == 2, failing.return_value()
    # RQ cuts the time at which a job is due down to whole seconds.
    assert late.return_value() >= begun + DELAY_S - 1, late.return_value() - begun
finally:
    worker.terminate()
    worker.wait(20)
print("ok")
