VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
PY := $(VENV)/bin/python
# Two threads that share a busy core are far slower than one.
QUIET := OMP_NUM_THREADS=1 WANDB_MODE=offline HF_HUB_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all smoke lint audit bench bench-baselines report dashboard sizes clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt torch
	$(PY) -m pip install -q -c constraints.txt -e '.[test,lint]'
	@touch $@

setup: $(VENV)/.stamp ## Create the environment in .venv

run: setup ## Train and score MAC on needles in haystacks (minutes on two cores)
	$(PY) run.py model=mac task=niah $(ARGS)

test: setup lint ## Check form and types, and run the tests
	$(QUIET) $(PY) -m pytest -n 2 -q

test-all: setup ## Run all tests, the long ones too; ends with a table of faults
	$(QUIET) $(PY) -m pytest -n 2 -q -m "not gpu" --faults

smoke: setup ## Train for seconds and print the losses: every time the same, to the last digit
	@$(QUIET) $(PY) -m tests.smoke

lint: setup ## Check form, types and layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/clang-format --dry-run -Werror titans/memory/cpu/*.h titans/memory/cpu/*.cpp
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache

# Known and let pass, see docs/SECURITY.md.
LET_PASS = --ignore-vuln CVE-2024-35515 --ignore-vuln PYSEC-2026-1939
audit: setup ## Look the pinned packages up among known weaknesses (needs the network)
	$(PY) -m pip install -q -c constraints.txt pip-audit && $(PY) -m pip_audit --strict --disable-pip --no-deps $(LET_PASS) -r constraints.txt

report: setup ## Rewrite the tables and experiments/report.html from the records
	$(PY) -m experiments report

dashboard: setup ## Open the runs of the latest sweep in this terminal
	@latest=$$(ls -td outputs/sweeps/*/wandb 2>/dev/null | head -n 1); \
	if [ -z "$$latest" ]; then echo "No sweep was logged: python run.py -m experiment=table2"; exit 1; fi; \
	$(VENV)/bin/wandb leet "$$latest"

bench: setup ## Measure the memory against the machine and titans-pytorch (minutes, idle machine)
	$(PY) -m pip install -q -c constraints.txt -e '.[peers]'
	OMP_NUM_THREADS=2 $(PY) -m tests.bench $(ARGS)

bench-baselines: setup ## Measure each chunked recurrence beside its token-by-token form
	$(PY) -m tests.bench_baselines

sizes: setup ## Make all models as large as LMM: the widths in conf/model, the table in FIDELITY.md
	$(PY) -m tests.sizes

clean: ## Remove the environment and caches, never outputs or records
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
