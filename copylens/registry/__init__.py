"""MLflow: runs, reports, registered versions, aliases. The one room that imports it."""
