# Needs python3 >= 3.11 with venv, and make; everything else goes into .venv, with the pip settings of whoever runs it.
# A machine without a GPU saves 2 GB when pip is pointed at PyTorch's CPU builds (PIP_EXTRA_INDEX_URL) beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# About two minutes: an island per usable core, migration every 10 generations, a report to open in the end. More of evolab's options go into ARGS.
RUN := evolab launch -c neat_baseline -p 500 -g 1500 --report

.PHONY: help run test check soak soak-search chaos papers bench test-systemd test-nfs
.DELETE_ON_ERROR:

help:
	@echo "make run    set up, then evolve an archipelago for about two minutes: $(RUN)"
	@echo "make test   set up, then format, lint, types and tests: what CI runs (make check is the same)"
	@echo "make soak   the tests that take minutes to hours"
	@echo "make soak-search   trials longer than 12 minutes with every backend (about 15 minutes)"
	@echo "make chaos  faults on purpose, with real processes, and a report (up to an hour; ARGS=--quick: fewer)"
	@echo "make papers the papers' figures into docs/papers.md; goes on where it stopped (about an hour of one core)"
	@echo "make bench  speed, beside other libraries' too, into docs/benchmarks.md; 1 when instructions regressed (about 15 minutes)"
	@echo "make test-systemd  the systemd units, supervised by systemd as PID 1 in user-mode Linux (about 5 minutes)"
	@echo "make test-nfs  two hosts (user-mode Linux) on one NFS export; as root (about 5 minutes)"

run: $(READY)
	$(BIN)/$(RUN) $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test: check

soak: $(READY)
	$(BIN)/pytest -m soak $(ARGS)

# Trials longer than any time-out in the stack, two at a time with every backend, all of them side by side.
soak-search: $(READY)
	$(BIN)/python scripts/soak_search.py $(ARGS)

# Kills, stops, floods and starves real islands, and writes what became of them into chaos-<time>/report.md.
chaos: $(READY)
	$(BIN)/python -m scripts.chaos $(ARGS)

# Evaluations to solve the field's benchmarks, over many seeds: fills docs/papers.md from runs/papers/.
papers: $(READY)
	$(BIN)/python scripts/papers.py $(ARGS)

# Installs the other libraries into environments below runs/benchmarks/venvs; counting instructions needs valgrind.
bench: $(READY)
	$(BIN)/python -m scripts.benchmarks $(ARGS)

# Needs Debian's user-mode-linux, kmod and systemd; boots them on this machine's files, read-only under an overlay.
test-systemd: $(READY)
	scripts/boot_systemd.sh $(ARGS)

# Needs root and Debian's user-mode-linux, nfs-ganesha, nfs-ganesha-vfs and nfs-common; all in namespaces of its own.
test-nfs: $(READY)
	$(BIN)/python -m scripts.nfs

# Runs again whenever pyproject.toml is newer, and after an interrupted set-up.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("expected python 3.11 or newer, got %d.%d; do: make PYTHON=/path/to/python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
