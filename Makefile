# `make train` and `make test` set up .venv and run; nothing else is needed on a machine with Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: train test test-slow faults night lint types docs clean new-normalizer new-callback new-statistic new-dataset

train: $(VENV)/.train  ## the quick start: under three minutes on two cores
	$(BIN)/python train.py experiment=quickstart

test: $(VENV)/.test  ## every test but the slow ones: under ten minutes on two cores
	$(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST_ARGS)

test-slow: $(VENV)/.test  ## the tests that take longer
	$(BIN)/python -m pytest -n 2 -m slow $(PYTEST_ARGS)

faults: $(VENV)/.test  ## makes file operations of short commands fail; an hour on two cores; see docs/reliability.md
	for command in run analysis sweep; do $(BIN)/python tools/inject_faults.py enumerate $$command || exit; done

night: $(VENV)/.test  ## kills commands at 500 random moments: some hours
	$(BIN)/python tools/inject_faults.py night --kills 500 --processes 1,2

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

$(VENV)/.train: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.test: $(VENV)/.train
	$(BIN)/python -m pip install --quiet -r requirements.txt -e '.[test]'
	touch $@

docs: $(VENV)/.test  ## rewrites the tables and pages that are generated from the code
	$(BIN)/python tools/docs/catalogue.py

# make new-normalizer NAME=soft_clip (new-statistic: NAME=family/name): class, configuration, export, doc line, and a test
# that fails until you fill it in
new-normalizer new-callback new-statistic new-dataset:
	$(PYTHON) tools/scaffold.py $(@:new-%=%) "$(NAME)"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
