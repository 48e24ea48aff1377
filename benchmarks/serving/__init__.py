"""The parts of `benchmarks/serve.py`: a service, loads on it, and what each part measures."""
