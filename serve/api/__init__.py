"""Routes, schemas and the policy."""
