# `make demo` and `make test` need nothing but Python 3.11 to 3.13 and make. Everything is set up in .venv from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
# Slow proofs without Docker that the process of those with it takes on: the two are then done at about the same time.
BEHIND_ENGINE := tests/amazon tests/platforms

.PHONY: help setup demo test slow browser lint types check lock clean

help: ## Say what can be made.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## Set up .venv from the lock.

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Trainbox needs Python 3.11 to 3.13. Received: %s. Run: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Write a synthetic tub, train a pilot on it, prove it, say the scores.
	$(BIN)/python -m trainbox demo drive $(DEMO)/tub
	$(BIN)/python -m trainbox train drive $(DEMO)/tub -p epochs=8 -p batch_size=64 --out $(DEMO)/pilot --overwrite
	@echo
	@echo "Next: open $(DEMO)/pilot/report.html to see what it learnt, then train on a tub of yours:"
	@echo "  $(BIN)/trainbox check YOUR_TUB.zip"
	@echo "  $(BIN)/trainbox train drive YOUR_TUB.zip --out my-pilot"
	@echo "and put my-pilot/model.tflite on the car: python manage.py drive --model model.tflite --type tflite_linear"

test: setup ## Run the tests: under 12 minutes on 2 cores.
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

slow: setup browser ## Run the slow proofs: real donkeycar, real data, a real browser, Docker, faults.
	@log=$$(mktemp); ( trap 'kill $$child; exit 143' TERM; \
	    $(BIN)/python -m pytest -m 'slow and engine' -rs & child=$$!; wait $$child; status=$$?; \
	    $(BIN)/python -m pytest -m 'slow and not engine' -rs $(BEHIND_ENGINE) & child=$$!; wait $$child && exit $$status \
	  ) >"$$log" 2>&1 & engine=$$!; \
	  trap 'kill $$engine; rm -f "$$log"' INT TERM; \
	  $(BIN)/python -m pytest -m 'slow and not engine' -rs $(BEHIND_ENGINE:%=--ignore=%); status=$$?; \
	  wait $$engine || status=1; cat "$$log"; rm -f "$$log"; exit $$status

browser: setup ## Get a Chromium for the page's tests, unless the machine has one.
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	  $(BIN)/python -m playwright install --with-deps chromium-headless-shell || \
	  echo "No Chromium to be had: the page's tests will be skipped."

lint: setup ## Check style and types.
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

check: lint test ## What a commit must pass.

lock: ## Resolve the requirements anew (needs uv).
	for name in desk:'' serve:'--extra serve' train:'--extra train --extra serve' \
	  train-gpu:'--extra train --extra serve --extra gpu' \
	  dev:'--extra train --extra serve --extra onnx --extra sagemaker --extra tune --group dev' build:'--group build'; do \
	  uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --upgrade \
	    --python-version 3.11 $${name#*:} $$([ $${name%%:*} = build ] || echo pyproject.toml) \
	    -o requirements/$${name%%:*}.txt || exit 1; done

clean: ## Remove what the targets above made.
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache
