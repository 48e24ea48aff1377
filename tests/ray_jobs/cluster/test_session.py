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
"""


def test_workers_are_as_nice_as_the_command_that_started_them() -> None:
    """Ray's own default makes them yield to every other process: a busy one then takes it all."""
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_WORKER], env=environment, capture_output=True, text=True
    )
    assert int(done.stdout) == os.nice(0), done.stderr
