# SPDX-License-Identifier: GPL-3.0-or-later
# Needs Python 3.9 or newer, make and a POSIX shell. PYTHON=... names another interpreter than python3.

PYTHON ?= python3
ARGS ?=

.PHONY: help setup demo check test night nights pairs run lint fuzz soak bench rpm man clean
.DEFAULT_GOAL := help

help:  ## list these commands
	@echo 'usage: make COMMAND'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-6s %s\n", $$1, $$2 }' Makefile

setup: .venv/.ready  ## make .venv with all that the commands below need; they do so by themselves
	@echo '.venv is ready'

demo: .venv/.ready  ## watch two simulated focusers move, in under 30 s
	@.venv/bin/python tools/demo.py

run: .venv/.ready  ## keep focusd running on the simulator, to play with from another terminal
	@echo 'focusd runs until Ctrl-C. In another terminal, in this directory:'
	@echo '  . .venv/bin/activate; export FOCUSD_CONFIG_PATH=test.json'
	@echo '  ./focus init; ./focus status; ./focus set 1 2000'
	@.venv/bin/python focusd test.json

# What needs no process, no port and no second machine: after every change
QUICK = tests/core tests/config tests/common/test_names.py tests/docs/test_architecture.py tests/docs/test_messages.py \
	tests/fuzz tests/test_rooms.py tests/simulator/test_parser.py tests/simulator/test_motion.py \
	tests/simulator/test_commands.py tests/client/test_help.py tests/client/test_progress_line.py

check: .venv/.ready  ## in under 30 s after every change: core, protocol, configuration, client, style and types
	@.venv/bin/python -m ruff check . & style=$$!; \
	.venv/bin/python -m mypy --no-error-summary & types=$$!; \
	.venv/bin/python -m pytest -q -n 2 --dist worksteal --no-header -p no:cacheprovider $(QUICK); tests=$$?; \
	wait $$style && wait $$types && exit $$tests

test: .venv/.ready  ## run the tests, then a thousand nights of faults; ARGS='-k motion' runs some tests
ifeq ($(ARGS),)
	@.venv/bin/python -m pytest -q -n 6 --dist worksteal --ignore tests/nights
	@.venv/bin/python -m pytest -q tests/nights
else
	@.venv/bin/python -m pytest $(ARGS)
endif

night: .venv/.ready  ## replay night SEED=7 of the simulated faults, with a trace
	@.venv/bin/python -m tests.nights --seed $(or $(SEED),0)

nights: .venv/.ready  ## play N=10000 nights on all cores, from seed FIRST=0 on
	@.venv/bin/python -m tests.nights -n $(or $(N),10000) --first $(or $(FIRST),0)

pairs: .venv/.ready  ## play every pair of faults at the exchanges of every operation, in under 5 min
	@.venv/bin/python -m tests.pairs

lint: .venv/.ready  ## check style and types
	@echo 'ruff'; .venv/bin/python -m ruff check .
	@echo 'mypy'; .venv/bin/python -m mypy

fuzz: SECONDS ?= 60
fuzz: .venv/.ready  ## look for bytes that break something, for SECONDS=60
	@mkdir -p build/fuzz
	@.venv/bin/python -c 'import atheris' 2>/dev/null || \
		.venv/bin/python -m pip install --only-binary :all: 'atheris>=2.3' >build/fuzz/pip.log 2>&1 || { \
		echo "error: the fuzzer atheris cannot be installed for $$(.venv/bin/python --version): build/fuzz/pip.log says why"; \
		echo 'Wheels of it are on PyPI for Python 3.9 to 3.13, for Linux on x86-64.'; exit 1; } >&2
	@.venv/bin/python -m tests.fuzz $(SECONDS)

soak: SECONDS ?= 600
soak: .venv/.ready  ## a real daemon on a bad cable for SECONDS=600: does it grow, does it lie? ARGS='--seed 7'
	@.venv/bin/python tools/soak.py $(SECONDS) $(ARGS)

bench: .venv/.ready  ## measure speed and cost, each figure with its floor, in under 5 min; ARGS='--only moves'
	@.venv/bin/python -m benchmarks $(ARGS)

# Rocky and Fedora build with the Python that they will run; elsewhere the one of .venv stands in for it
rpm:  ## build the RPM packages into dist/rpm
	@if rpm -q rpm >/dev/null 2>&1; then "$(PYTHON)" tools/build_rpms.py; else \
		$(MAKE) --silent --no-print-directory .venv/.ready && .venv/bin/python tools/build_rpms.py; fi

# Dated as the last commit, so that a commit gives the same pages each time
man: .venv/.ready  ## write the manual pages focus(1), focusd(8), focusd.json(5) into build/man
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || true)} \
		.venv/bin/python tools/manual.py build/man
	@ls build/man/*

clean:  ## remove all that these commands made
	rm -rf .venv build dist *.egg-info common/build common/dist common/*.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv refers to the place of the clone and to an interpreter: after either has gone it is not ready any more
ifneq ($(shell [ -x .venv/bin/python ] && [ "$$(cat .venv/.ready 2>/dev/null)" = "$$(pwd -P)" ] && echo yes),yes)
.PHONY: .venv/.ready
endif
.venv/.ready: setup.py common/setup.py requirements-dev.txt tools/setup_venv.py
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || { \
		echo "error: focusd needs Python 3.9 or newer, and $(PYTHON) is: $$("$(PYTHON)" --version 2>&1)"; \
		echo 'Name another one, for example: make PYTHON=python3.12 setup'; exit 1; } >&2
	@"$(PYTHON)" tools/setup_venv.py
