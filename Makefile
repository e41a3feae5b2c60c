# Two commands do everything on a fresh machine: `make demo` and `make test`. They make .venv and install what they need.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# the GPU build of faiss where there is an NVIDIA driver on an x86-64 machine, else the CPU build
FAISS := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CLOCK = begun=$$(date +%s); trap 'echo "make $@: $$(( $$(date +%s) - begun )) s"' EXIT;

.PHONY: demo test check prove fix clean

demo: .venv/demo.done ## install, draw 20 minutes of film, index them, ask ten questions, check the answers
	@$(CLOCK) $(BIN)/footage demo

test: .venv/test.done ## install, lint, type-check and test
	@$(CLOCK) $(MAKE) --no-print-directory check && OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check:
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

prove: .venv/test.done ## the long proofs: kills, damage, real footage
	@$(CLOCK) $(BIN)/python -m pytest -m slow

fix: .venv/test.done
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.venv/bin/python:
	@echo "making .venv"; $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "footage needs Python 3.11 or newer, found " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv

.venv/demo.done: pyproject.toml | .venv/bin/python
	@begun=$$(date +%s); echo "installing footage (a few minutes the first time)"; \
	$(PIP) -e ".[$(FAISS),ocr]" && touch $@ && echo "installed in $$(( $$(date +%s) - begun )) s"

.venv/test.done: pyproject.toml | .venv/bin/python
	@begun=$$(date +%s); echo "installing footage and its test tools (a few minutes the first time)"; \
	$(PIP) -e ".[$(FAISS),ocr,decord,dev]" && touch $@ .venv/demo.done && echo "installed in $$(( $$(date +%s) - begun )) s"

clean:
	rm -rf .venv demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
