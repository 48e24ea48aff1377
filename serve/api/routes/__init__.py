"""The service's endpoints, a router a file; serve.http.web puts them together."""
