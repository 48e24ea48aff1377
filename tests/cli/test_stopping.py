"""SIGTERM and Ctrl-C: one line on stderr, the exit code that shells expect, no stack trace."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

SIGNALS = [
    (signal.SIGTERM, 143, "stopped by SIGTERM\n"),
    (signal.SIGINT, 130, "stopped by Ctrl-C\n"),
]
# A verb that says when it has begun, and waits for its input to end.
IN_RAY = """
from copylens import cli
from copylens.config.load import build_config
from ray_jobs.cluster.session import ray_session

@cli.app.command()
def wait():
    with ray_session(build_config({})):
        print("ready", flush=True)
        input()

cli.main()
"""


@contextmanager
def started(*words: str):
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Started in the background of a script, these tests inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
def test_a_verb_that_is_stopped(number, code, line, tmp_path):
    # The command opens the pipe for reading and waits there: opening it here waits for that.
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    with started("-m", "copylens.cli", "ingest", "--config", str(config)) as process:
        with config.open("w"):
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (code, "", line)


@pytest.mark.ray
@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
def test_a_verb_that_is_stopped_while_ray_runs(number, code, line):
    with started("-c", IN_RAY, "wait") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (code, line)
