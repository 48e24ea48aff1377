"""A local Ray of our own: what its workers are to the rest of the machine."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

IN_A_WORKER = """
import os
import ray
from copylens.config.load import build_config
from ray_jobs.cluster.session import ray_session

with ray_session(build_config({})):
    print(ray.get(ray.remote(lambda: os.nice(0)).remote()))
    print(ray.get(ray.remote(lambda: open(f"/proc/{os.getpid()}/environ").read()).remote()))
"""


def test_workers_get_their_part_of_the_machine() -> None:
    """As nice as the command that started them: Ray's own default makes them yield to every other
    process, so that a busy one takes it all. And with one heap: see `share_one_heap`."""
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_WORKER], env=environment, capture_output=True, text=True
    )
    niceness, at_start = done.stdout.split("\n", 1)
    assert int(niceness) == os.nice(0), done.stderr
    assert "MALLOC_ARENA_MAX=1" in at_start.split("\0")
