"""A Python client of the service: verdicts, generations and the registry over HTTP."""

from copylens.client.client import Client, Retries, ServiceError

__all__ = ["Client", "Retries", "ServiceError"]
