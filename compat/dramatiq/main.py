"""dramatiq: a message sent and run by `dramatiq`, one that fails and is tried again, one that is delayed."""

import subprocess

import jobs

PATIENCE_MS = 40_000
DELAY_MS = 1000

begun = jobs.now()
plain = jobs.add.send(2, 3)
failing = jobs.fail_once.send()
late = jobs.say_when.send_with_options(delay=DELAY_MS)

command = ["dramatiq", "jobs", "--processes", "1", "--threads", "2"]
worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
try:
    assert plain.get_result(block=True, timeout=PATIENCE_MS) == 5
    assert failing.get_result(block=True, timeout=PATIENCE_MS) == 2
    # dramatiq counts in whole milliseconds.
    assert late.get_result(block=True, timeout=PATIENCE_MS) >= begun + DELAY_MS / 1000 - 0.002
finally:
    worker.terminate()
    worker.wait(20)
print("ok")
