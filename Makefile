# Two commands: `make run` and `make test`. Both set up their own environment in .venv, from hash-locked packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Before packages are installed nothing may be imported from the user's own site.
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test lint types imports proofs unit bench lock clean help

run: $(READY)  ## open the program
	@$(BIN)/iiotlab

test: lint types imports proofs unit  ## everything that must hold: lint, types, import contracts, scenario proofs, tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/iiotlab lint

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports --no-cache

proofs: $(READY)
	$(BIN)/iiotlab prove --all

unit: $(READY)
	$(BIN)/pytest -n auto --dist loadfile

bench: $(READY)  ## the benchmarks, as ratios
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --upgrade -o requirements.lock

clean:
	rm -rf $(VENV)

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; choose one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo "Python's venv module is missing (Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV): a minute or two the first time …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)
