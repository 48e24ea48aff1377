"""Studies: what the test splits alone do not tell. Each gives figures for the report."""
