# From a bare machine to the report: `make run`. Python 3.11 or newer and a package index are all it needs.
PYTHON ?= python3
VENV ?= .venv
SUITE ?= mini
CORES ?= all
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test check format lock clean

# Run a suite and end at results/<suite>/report.html; after an interruption, `make run` again goes on.
run: $(READY)
	@$(BIN)/steadytune run $(SUITE) --cores $(CORES)
	@echo "results/$(notdir $(basename $(SUITE)))/report.html"

# Everything that is tested, side by side on all cores.
test: $(READY)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadgroup

# What a change must pass besides the tests: lint, format, types, the workflow's own lint.
check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/pyright
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python {v[0]}.{v[1]} found, expected 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The newest versions that pyproject.toml admits, but for torch, which is chosen by hand.
lock: TORCH ?= 2.13.0
lock:
	$(PYTHON) -m venv --clear .lock-env
	.lock-env/bin/pip install --quiet --upgrade pip
	.lock-env/bin/pip install --quiet torch==$(TORCH)
	.lock-env/bin/pip install --quiet . --group dev
	(head -n 1 requirements.lock; .lock-env/bin/pip freeze --all --exclude pip --exclude steadytune \
	    | sed 's/+cpu$$//') >requirements.new
	mv requirements.new requirements.lock
	rm -rf .lock-env

clean:
	rm -rf $(VENV)
