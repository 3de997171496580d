# Two commands do all the set-up on a bare machine with Python 3.11, pip and make:
#   make demo   runs the main job, end to end, on embedded defaults
#   make test   passes the tests
# `make` or `make help` lists every target: the text behind ## is what it shows.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo demo-legacy dev test lint types check docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## run the main job, end to end, on embedded defaults
	$(BIN)/video-assets demo

demo-legacy: $(READY) ## run the legacy workflow on five example databases: discover to proof, undo and redo
	$(BIN)/video-assets demo-legacy

dev: $(READY) ## start Dagster, the media server and the emulator, and leave them up
	$(BIN)/video-assets dev

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -n auto

lint: $(READY) ## run the linter and check the formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## run the type checker
	$(BIN)/mypy

check: lint types ## run lint, types and Dagster's own validation
	$(BIN)/dagster definitions validate

docs: $(READY) ## write docs/configuration.md from the settings
	$(BIN)/video-assets config docs > docs/configuration.md

clean: ## remove the environment and everything the demos and tools wrote
	rm -rf $(VENV) .demo .demo-legacy .video_assets .pytest_cache .mypy_cache .ruff_cache

# Pinned versions come from constraints.txt; the dependency group `dev` of pyproject.toml holds the tools.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "video-assets needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[postgres,mysql]' --group dev
	touch $(READY)
