# Everything a fresh machine needs is done by the targets themselves: only Python >= 3.11, git and make must be there.
#
#   make demo    train for MINUTES minutes on a small set that comes with the package, then draw images
#   make test    the tests; make slow: those that train until something is learnt; make lint: style and types

MINUTES ?= 5
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev

.PHONY: demo test slow lint clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

demo: $(READY)
	@set -e; n=1; \
	while [ -e runs/demo-$$(printf %03d $$n) ]; do n=$$((n + 1)); done; \
	run=runs/demo-$$(printf %03d $$n); \
	$(BIN)/gan train fashion-small --minutes $(MINUTES) --out $$run; \
	$(BIN)/gan generate $$run --seeds 0-63 --grid --out $$run/generated; \
	echo "report: $$run/report.html   samples: $$run/generated/grid.png"

test: $(READY_DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow"

slow: $(READY_DEV)
	$(BIN)/python -m pytest -q -m slow

lint: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Both are made once, and again when pyproject.toml changes: what runs the package, and what tests and checks it on top.
$(READY): pyproject.toml
	@python=""; \
	for name in python3 python3.13 python3.12 python3.11 python3.14 python; do \
		if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python="$$name"; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "error: Python 3.11 or newer is needed and was not found. Install it, for instance: apt install python3"; exit 1; fi; \
	if [ ! -x $(BIN)/python ]; then \
		"$$python" -m venv $(VENV) || { rm -rf $(VENV); echo "error: $$python has no working venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
	fi
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@
