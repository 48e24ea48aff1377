"""What CopyLens is compared with, on the same splits and tokens."""
