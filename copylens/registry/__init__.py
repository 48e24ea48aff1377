"""MLflow: runs, reports, registered versions, aliases. Only this package imports it."""
