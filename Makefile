# Everything needs only Python 3.11 and make; the rest is installed into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test check bench clean

help:
	@echo "make demo   install, then fill a sandbox audience from examples/events.ndjson"
	@echo "make test   install, then run all tests"
	@echo "make check  format, lint and types, of the code and of the definitions"
	@echo "make bench  the benchmarks; figures are ratios taken in one run"

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/installed
	@connector send --sandbox examples/connection.yaml examples/events.ndjson

test: .venv/installed
	pytest -n auto --dist loadfile $(ARGS)

check: .venv/installed
	ruff format --check .
	ruff check .
	mypy
	connector lint

bench: .venv/installed
	python -m benchmarks $(ARGS)

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
