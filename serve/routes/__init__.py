"""The service's endpoints, a router a file; serve.web puts them together."""
