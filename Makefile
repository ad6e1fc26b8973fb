# The verbs of the project. `make demo` and `make test` need Python 3.11 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench serve screenshots clean

demo: $(VENV)/installed  ## the main job on BasicMotions, from unlabelled windows to a served embedder
	$(BIN)/python pipelines/demo.py

test: $(VENV)/installed  ## the whole test suite; those of the page need a browser (apt-get install chromium) and are skipped without
	$(BIN)/python -m pytest

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed  ## where the time goes, as ratios from one run
	$(BIN)/python pipelines/bench.py

serve: $(VENV)/installed  ## serve the model of the demo (MODEL=folder for another)
	$(BIN)/tsrep serve $(or $(MODEL),runs/demo)

screenshots: $(VENV)/installed  ## the pictures of the page in the README; needs Chromium
	$(BIN)/python pipelines/screenshots.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo 'installing tsrep with all extras into $(VENV), which takes some minutes'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@
