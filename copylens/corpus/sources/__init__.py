"""Readers: files, folders, hub datasets and installed distributions -> rows."""
