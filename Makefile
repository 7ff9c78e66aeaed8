# From a bare machine to the report: `make run`. Needs only Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV ?= .venv
SUITE ?= mini
CORES ?= all
BIN := $(VENV)/bin
ifeq ($(shell test -L $(VENV) && echo link),link)
# Another checkout's environment is used unchanged: installing into it would make that checkout run this one's code.
export PYTHONPATH := $(CURDIR)/src
else
READY := $(VENV)/.ready
endif

.PHONY: run test test-all test-long site picture drills attack check format lock slurm validator bench gpu-check clean

# Run a suite up to results/<suite>/report.html; run it again to resume after an interruption.
run: $(READY)
	@$(BIN)/steadytune run "$(SUITE)" --cores $(CORES)

# The fast tests, in parallel on all cores; takes minutes.
test: $(READY)
	@$(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadfile

# The slow tests: whole runs, drills, environments, real data, the browser, the README's commands.
test-all: $(READY)
	@$(BIN)/python -m pytest -m "slow and not long" --numprocesses auto --dist loadfile

# Tests that take minutes each: attacks on a finished suite, other users, every architecture.
test-long: $(READY)
	@$(BIN)/python -m pytest -m long --numprocesses auto --dist loadfile

# Kill fifty runs of a small suite at random moments: all must end with the same bytes. About half an hour.
drills: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/dag/drills.py --kills 50

# Attack a finished small suite in every way that docs/integrity.md lists: every attack must be noticed. Five minutes.
attack: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/dag/attack.py --page docs/integrity.md

# What a change must pass besides the tests: lint, format, types, the workflow's own lint.
check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/snakemake --lint

# The evidence page: claims, methods and cells of all recorded suites, as one static folder.
site: $(READY)
	@$(BIN)/steadytune site --to site

# The picture in README: the first screen of the evidence page. Needs Chromium.
picture: site
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,960 \
	    --screenshot=docs/evidence.png "file://$(CURDIR)/site/index.html"

# Benchmarks: speed compared with transformers.Trainer, and of methods, start-up, a frozen prefix and planning
# (docs/performance.md).
bench: $(READY)
	@$(BIN)/python benchmarks $(BENCH)

# On a machine with a GPU: check that training is correct, and measure its speed. Needs torch, transformers and pydantic;
# writes gpu-check.json.
gpu-check:
	@PYTHONPATH=src $(PYTHON) benchmarks/gpu_check.py $(GPU_CHECK)

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

# As root: install Debian's SLURM on this machine and run a suite on it; the logs stay in .make/slurm.
slurm: $(READY)
	@which slurmctld slurmd munged sbatch >/dev/null || { apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive \
	    apt-get install --quiet=2 --no-install-recommends --yes slurmctld slurmd slurm-client munge; }
	@$(BIN)/pip install --quiet --no-deps --requirement profiles/slurm/requirements.lock
	@STEADYTUNE_SLURM=1 $(BIN)/python -m pytest tests/cluster/test_slurm.py
	@cat .make/slurm/drills.log

# Install the tools that open exports in the tests. RO-Crate's validator needs older packages than the project. The
# others share the project's packages; Every Eval Ever's validator works with an older Python than its package requires.
validator: $(READY)
	$(PYTHON) -m venv $(VENV)/validator
	$(VENV)/validator/bin/pip install --quiet --requirement tests/validator.lock
	$(PYTHON) -m venv $(VENV)/consumers
	$(VENV)/consumers/bin/pip install --quiet --no-deps --ignore-requires-python --requirement tests/consumers.lock
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    >"$$($(VENV)/consumers/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"

# Lock the newest versions that pyproject.toml allows, except for torch, whose version is set by hand.
lock: TORCH ?= 2.13.0
lock:
	$(PYTHON) -m venv --clear .lock-env
	.lock-env/bin/pip install --quiet --upgrade pip
	.lock-env/bin/pip install --quiet torch==$(TORCH)
	.lock-env/bin/pip install --quiet '.[export]' --group dev
	(head -n 1 requirements.lock; .lock-env/bin/pip freeze --all --exclude pip --exclude steadytune \
	    | sed 's/+cpu$$//') >requirements.new
	mv requirements.new requirements.lock
	rm -rf .lock-env

clean:
	rm -rf $(VENV)
