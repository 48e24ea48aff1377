"""A Python client of the service: verdicts, generations and the registry over HTTP."""

from copylens.client.client import Client, ServiceError
from copylens.client.retries import Retries

__all__ = ["Client", "Retries", "ServiceError"]
