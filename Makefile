# make repro: install, run the default project.   make test: install, run the tests.   make ui: see the runs in MLflow.
# make docs: write the generated reference pages again.
# make serve: install, then the web app, with the model that comes with tintype; make PORT=9000 serve.
# make fuzz: 100,000 damaged files and options, for an hour or more; make CASES=1000 fuzz.
# make test SLOW=1: those that take minutes, too, every row of every table among them: what CI runs.
PYTHON ?= python3
PORT ?= 8000
CASES ?= 100000
# Relative: a checkout's path may hold spaces.
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export NO_ALBUMENTATIONS_UPDATE := 1
export DVC_NO_ANALYTICS := 1

.PHONY: repro test fuzz check docs serve ui plots bench clean install

repro: install
	dvc repro
	@cat report/table.md

test: install
	pytest $(if $(SLOW),,-m "not slow") -n 2 --dist loadscope --no-loadscope-reorder

fuzz: install
	TINTYPE_FUZZ=$(CASES) pytest tests/faults/test_fuzz_*.py -n 2

check: install
	ruff check .
	ruff format --check .
	mypy
	lint-imports

docs: install
	python docs/reference/generate.py

serve: install
	tintype serve --port $(PORT)

ui: install
	@case "$$MLFLOW_TRACKING_URI" in \
	  http*) echo "MLflow runs at $$MLFLOW_TRACKING_URI" ;; \
	  *) mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" ;; \
	esac

plots: install
	dvc plots show

bench: install
	python -m benchmarks

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tintype needs Python 3.11 or newer; say which: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	touch $@

clean:
	rm -rf $(VENV)
