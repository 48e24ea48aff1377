"""What a person or a program sees of a submitted job."""

import json
import sys

from ray_jobs.cluster.submit import Submission, follow

# What shells give for a process that Ctrl-C ended.
_INTERRUPTED = 130


def show(job: Submission, wait: bool, as_json: bool) -> int:
    """Follows a job, unless told not to wait; returns the exit code.

    The job's log goes to stdout. With `as_json` the log goes to stderr, and stdout gets one line
    when the job has ended. Ctrl-C stops following the job, not the job itself.
    """
    _say(f"job {job.id} at {job.address}")
    if not wait:
        _say(_advice(job))
        if as_json:
            _print({"job": job.id, "address": job.address})
        return 0
    log = sys.stderr if as_json else sys.stdout
    try:
        outcome = follow(job, lambda lines: print(lines, end="", file=log, flush=True))
    except KeyboardInterrupt:
        _say(f"\nthe job goes on; {_advice(job)}")
        return _INTERRUPTED
    if outcome.exit_code:
        _say(f"error: job {job.id} {outcome.status.lower()}: {outcome.message}")
    if as_json:
        ended = {"status": outcome.status, "exit_code": outcome.exit_code}
        _print({"job": job.id, "address": job.address, **ended})
    return outcome.exit_code


def _advice(job: Submission) -> str:
    at = f"--address {job.address} {job.id}"
    return f"follow it with `ray job logs -f {at}`, stop it with `ray job stop {at}`"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(row: dict[str, object]) -> None:
    print(json.dumps(row), flush=True)
