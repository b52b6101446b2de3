"""Celery: a task sent and run by `celery worker`, one that is retried, one with a countdown, and a chord."""

import subprocess

from celery import chord

import jobs

PATIENCE_S = 50
DELAY_S = 1

begun = jobs.now()
plain = jobs.add.delay(2, 3)
failing = jobs.fail_once.delay()
late = jobs.say_when.apply_async(countdown=DELAY_S)
together = chord(jobs.add.s(number, number) for number in range(4))(jobs.total.s())

command = ["celery", "--app", "jobs", "worker", "--concurrency", "2", "--pool", "threads", "--loglevel", "ERROR"]
worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
try:
    assert plain.get(timeout=PATIENCE_S) == 5
    assert failing.get(timeout=PATIENCE_S) == 2
    assert late.get(timeout=PATIENCE_S) >= begun + DELAY_S - 0.001
    assert together.get(timeout=PATIENCE_S) == 12
finally:
    worker.terminate()
    worker.wait(20)
print("ok")
