# Everything a developer or CI runs. `make serve` and `make test` need only python3.11+, make and pip.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCKS  := requirements/torch.txt requirements/cpu.txt

.PHONY: setup serve test unit e2e coverage check format lock bench clean
.DELETE_ON_ERROR:

# `make setup EXTRAS=accounts` also installs what an optional part needs.
setup: $(VENV)/.cpu $(EXTRAS:%=$(VENV)/.%)

serve: setup
	$(BIN)/lorabay serve $(ARGS)

# Everything: unit tests on all cores, then what needs the engine, which takes all cores itself: beside
# other work its threads wait for one another.
# With ARGS, which reach pytest, as in `make test ARGS="-k merge"`, one process runs what they choose.
# Sets have the same order in every run, so that what fails in CI fails everywhere.
test unit e2e: export PYTHONHASHSEED ?= 0
test: $(VENV)/.dev
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(MAKE) --no-print-directory unit
	$(MAKE) --no-print-directory e2e
endif

unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --ignore tests/e2e

e2e: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e

# The rooms that a server relies on; pyproject.toml has the floor. Apart from `test`, which it slows down.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest --cov --cov-report=term tests/api tests/catalog tests/formats tests/serving

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.dev
	requirements/lock.sh $(BIN)/uv

bench: setup
	$(BIN)/lorabay bench $(ARGS)

clean:
	rm -rf $(VENV)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "lorabay needs Python 3.11 or 3.12, and $(PYTHON) is $$($(PYTHON) --version); pass PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.cpu: $(VENV)/.python $(LOCKS) requirements/install.sh pyproject.toml
	requirements/install.sh $(BIN)/python $(LOCKS)
	touch $@

$(VENV)/.accounts: $(VENV)/.cpu requirements/accounts.txt
	requirements/install.sh $(BIN)/python requirements/accounts.txt
	touch $@

$(VENV)/.forge: $(VENV)/.cpu requirements/forge.txt
	requirements/install.sh $(BIN)/python requirements/forge.txt
	touch $@

$(VENV)/.parquet: $(VENV)/.cpu requirements/parquet.txt
	requirements/install.sh $(BIN)/python requirements/parquet.txt
	touch $@

$(VENV)/.sources: $(VENV)/.cpu requirements/sources.txt
	requirements/install.sh $(BIN)/python requirements/sources.txt
	touch $@

$(VENV)/.ray: $(VENV)/.cpu requirements/ray.txt
	requirements/install.sh $(BIN)/python requirements/ray.txt
	touch $@

$(VENV)/.dev: $(VENV)/.accounts $(VENV)/.forge $(VENV)/.parquet $(VENV)/.sources $(VENV)/.ray requirements/dev.txt
	requirements/install.sh $(BIN)/python requirements/dev.txt
	touch $@
