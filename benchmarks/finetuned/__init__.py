"""LMs of known truth: a real LM fine-tuned on one sub-dataset each, and judged by CopyLens."""
