"""Text -> verdict: the scorer, its bundle on disk, its lineage, logs of texts."""
