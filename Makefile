# Everything needs only Python 3.11 and make; the rest is installed into .venv, in the versions of constraints.txt.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# Without what `make check` does anyway: to lint all that ships.
QUICK := $(addprefix tests/unit/,_util connection delivery linting pipeline templating) tests/laws tests/cases \
	--deselect tests/unit/linting/test_lint.py::test_what_ships_is_clean_in_five_years_too
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test quick soak mutants witness witness-npm check bench bench-service reference parity constraints clean

help:
	@echo "make demo   install, then fill a sandbox audience from examples/events.ndjson"
	@echo "make test   install, then run all tests"
	@echo "make quick  the tests that tell most while editing, in half a minute"
	@echo "make soak   the laws with ten times the examples, and 100,000 mixed events"
	@echo "make mutants  change pipeline/ and delivery/ in small ways and see which changes no test notices (hours)"
	@echo "make witness  install the vendors' own clients for Python, and try them at the sandbox"
	@echo "make witness-npm  the same for node, which has to be there"
	@echo "make check  format, lint and types, of the code and of the definitions"
	@echo "make bench  the benchmarks; figures are ratios taken in one run"
	@echo "make bench-service  those of the service: posts, restart, memory, and a day of a stream"
	@echo "make reference  docs/reference.md, from the meta-schemas"
	@echo "make parity  docs/x-parity.md, from the rules in tests/parity"
	@echo "make constraints  the newest versions that pyproject.toml allows, written to constraints.txt"

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed
	@connector send --sandbox examples/connection.yaml examples/events.ndjson

test: $(VENV)/installed
	pytest -n auto --dist loadfile $(ARGS)

quick: $(VENV)/installed
	LAW_EXAMPLES=0.1 pytest -n auto --dist loadfile $(QUICK) $(ARGS)

soak: $(VENV)/installed
	MIXED_EVENTS=100000 LAW_EXAMPLES=10 pytest -n auto --dist loadfile --timeout 1800 tests/laws tests/acceptance/test_send_mixed.py $(ARGS)

mutants: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mutants]'
	mutmut run $(ARGS)
	mutmut results

witness: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,witness]'
	WITNESSES=python pytest tests/witness $(ARGS)

witness-npm: $(VENV)/installed .venv-npm/installed
	WITNESSES=npm pytest tests/witness $(ARGS)

.venv-npm/installed: tests/witness/npm/package.json tests/witness/npm/package-lock.json
	@command -v npm >/dev/null || { echo "make witness-npm needs node 20 or later, with npm"; exit 1; }
	mkdir -p .venv-npm
	cp tests/witness/npm/package.json tests/witness/npm/package-lock.json .venv-npm
	npm ci --prefix .venv-npm --no-audit --no-fund --ignore-scripts --silent
	@touch $@

check: $(VENV)/installed
	ruff format --check .
	ruff check .
	mypy
	connector lint

bench: $(VENV)/installed
	python -m benchmarks $(ARGS)

bench-service: $(VENV)/installed
	python -m benchmarks.service $(ARGS)
	python -m benchmarks.day

reference: $(VENV)/installed
	python -m connector.guide.reference > docs/reference.md

parity: $(VENV)/installed
	python -m tests.parity.table > docs/x-parity.md

constraints:
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,mutants,witness]'
	grep '^#' constraints.txt > .venv-newest/constraints.txt
	.venv-newest/bin/python -m pip freeze --exclude-editable >> .venv-newest/constraints.txt
	cp .venv-newest/constraints.txt constraints.txt
	rm -rf .venv-newest

clean:
	rm -rf .venv .venv-* dist mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis
