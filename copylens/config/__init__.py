"""One typed, frozen configuration for a whole run."""
