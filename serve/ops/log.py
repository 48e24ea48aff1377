"""The service's log."""

import hashlib
import json
import logging
from typing import Any

# A child of Serve's logger, so its lines go to the replica's log file with the request's id.
LOG = logging.getLogger("ray.serve.copylens")


def event(name: str, **values: Any) -> None:
    """Logs one line of JSON. `values` holds a text only where `log_texts` is set."""
    LOG.info(json.dumps({"event": name, **values}))


def sha256(text: str) -> str:
    """Hex digest that identifies a text, as in its verdict."""
    return hashlib.sha256(text.encode()).hexdigest()
