# ModelLedger: `make run` and `make test` are all that a new user needs.
PYTHON ?= python3
PORT ?= 8501
SQL_PORT ?= 10000
VENV := .venv
BIN := $(VENV)/bin

COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --no-header --annotation-style line --python-version 3.11

.PHONY: run test test-slow setup lock check texts bench screenshots sql-endpoint clean

run: setup
	$(BIN)/python -m core serve --port $(PORT)

# Two workers; the tests' own order (tests/conftest.py) is kept, which begins with the longest groups.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations=20 --durations-min=5

test: check
	$(PYTEST) -m "not slow"

# Races, killed processes, outages, memory bounds, Spark jobs, clusters and the second database.
test-slow: setup
	$(PYTEST) -m slow

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.txt
	touch $@

# Pins what pyproject.toml asks for in requirements.txt, the runtime first. A version that is already pinned stays;
# `make lock UPGRADE="--upgrade-package mlflow"` moves one version, `make lock UPGRADE=--upgrade` moves all of them.
lock: setup
	cp requirements.txt $(VENV)/all.lock
	$(COMPILE) --all-extras $(UPGRADE) --output-file $(VENV)/all.lock
	cp $(VENV)/all.lock $(VENV)/runtime.lock
	$(COMPILE) --extra spark --extra postgres --output-file $(VENV)/runtime.lock
	{ echo '# Compiled from pyproject.toml by `make lock`. Do not edit.'; echo '# Runtime'; cat $(VENV)/runtime.lock; \
	  echo '# Tools and tests'; awk -F== 'NR == FNR {runtime[$$1]; next} !($$1 in runtime)' \
	  $(VENV)/runtime.lock $(VENV)/all.lock; } > $(VENV)/requirements.lock
	cmp -s $(VENV)/requirements.lock requirements.txt || cp $(VENV)/requirements.lock requirements.txt

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

# Run this after a change of a text for people; tests/test_texts.py compares.
texts: setup
	$(BIN)/python -m docs.extract_texts

bench: setup
	$(BIN)/python -m benchmarks

screenshots: setup
	$(BIN)/python docs/screenshots.py

sql-endpoint: setup
	$(BIN)/python -m core sql-endpoint --port $(SQL_PORT)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
