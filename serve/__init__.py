"""The scorer in service: the only room that reads the MLflow registry."""
