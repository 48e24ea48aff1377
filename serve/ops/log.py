"""The service's log."""

import hashlib
import json
import logging
from typing import Any

# A child of Serve's own logger: what it says stands in the replica's log file, with its ids.
LOG = logging.getLogger("ray.serve.copylens")


def event(name: str, **values: Any) -> None:
    """One line of JSON. Never a text, unless the operator asked for texts."""
    LOG.info(json.dumps({"event": name, **values}))


def sha256(text: str) -> str:
    """What stands for a text in the log, as in its verdict."""
    return hashlib.sha256(text.encode()).hexdigest()
