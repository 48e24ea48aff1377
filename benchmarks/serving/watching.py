"""What flags cost a generation: `benchmarks.live` in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.serving.texts import Case


def live(case: Case, tell: Callable[[str, Any], None]) -> dict[str, Any]:
    """Its figures; its details go to stderr."""
    words = [sys.executable, "-m", "benchmarks.live", case.run]
    words += ["--probe", case.probe] if case.probe else []
    words += case.size.live
    out = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    tell("tokens from a passage's first one to its flag", found["tokens_to_flag"])
    return found
