# Two commands do all the set-up on a bare machine with Python 3.11, pip and make:
#   make demo   runs the main job, end to end, on embedded defaults
#   make test   passes the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo demo-legacy test dev lint types check docs clean

demo: $(READY)
	$(BIN)/video-assets demo

# The whole legacy road on five example databases: discover to proof, undo and redo.
demo-legacy: $(READY)
	$(BIN)/video-assets demo-legacy

dev: $(READY)
	$(BIN)/video-assets dev

test: $(READY)
	$(BIN)/python -m pytest -n auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types
	$(BIN)/dagster definitions validate

docs: $(READY)
	$(BIN)/video-assets config docs > docs/configuration.md

# Pinned versions come from constraints.txt; the dependency group `dev` of pyproject.toml holds the tools.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "video-assets needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[postgres,mysql]' --group dev
	touch $(READY)

clean:
	rm -rf $(VENV) .demo .demo-legacy .video_assets .pytest_cache .mypy_cache .ruff_cache
