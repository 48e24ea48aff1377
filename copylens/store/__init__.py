"""Files at any URI, completion markers, stages."""
