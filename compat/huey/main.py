"""huey: a task called and run by `huey_consumer`, one that fails and is tried again, one that is due later."""

import subprocess

import jobs

PATIENCE_S = 40
DELAY_S = 2

begun = jobs.now()
plain = jobs.add(2, 3)
failing = jobs.fail_once()
late = jobs.say_when.schedule(delay=DELAY_S)
locked = jobs.locked()

consumer = subprocess.Popen(["huey_consumer", "jobs.huey", "--workers", "2", "--quiet"], stderr=subprocess.DEVNULL)
try:
    assert plain.get(blocking=True, timeout=PATIENCE_S) == 5
    assert locked.get(blocking=True, timeout=PATIENCE_S) == "locked"
    # Until the second attempt there is the error of the first under the task's id.
    value = None
    while value != 2:
        try:
            value = failing.get(blocking=True, timeout=PATIENCE_S)
            assert value is not None, "the failed task was not tried again"
        except jobs.TaskException:
            failing.reset()
    when = late.get(blocking=True, timeout=PATIENCE_S)
    # huey counts in whole seconds of the local clock.
    assert when is not None and when >= begun + DELAY_S - 1, when and when - begun
finally:
    consumer.terminate()
    consumer.wait(20)
print("ok")
