# ModelLedger: `make run` and `make test` are all that a new user needs.
PYTHON ?= python3
PORT ?= 8501
SQL_PORT ?= 10000
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test setup check bench screenshots sql-endpoint clean

run: setup
	$(BIN)/python -m core serve --port $(PORT)

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.txt
	touch $@

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

screenshots: setup
	$(BIN)/python docs/screenshots.py

sql-endpoint: setup
	$(BIN)/python -m core sql-endpoint --port $(SQL_PORT)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
