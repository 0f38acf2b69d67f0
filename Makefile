# One venv, one lock file. `make demo` and `make test` do everything on a fresh Debian or Ubuntu.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
export MODEL ENDPOINT
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test processes, more than a small machine has cores: half of the tests' time is waiting for servers and deadlines.
WORKERS := 4

.PHONY: demo test test-slow test-full test-local test-servers test-dist chaos fuzz setup system servers lint nightly bench moved local dist lock clean

## setup: a virtual environment in .venv with the versions and hashes of constraints.txt
setup: $(STAMP)

$(STAMP): constraints.txt pyproject.toml
	@echo "installing the Python packages of constraints.txt into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

## system: Java, Chromium, MariaDB, bubblewrap, libseccomp and debootstrap through apt, as root or with sudo; else says what is left out
system:
	@.ci/system

## servers: the model servers that tests/servers starts, each in an environment of its own in .venv-servers
servers:
	@.ci/servers

## demo: install, play a few samples of every task with the oracle on the shipped fixtures, print the table
demo: system setup
	$(BIN)/harness setup --ready-only
	$(BIN)/harness run --model oracle --suite demo --ready-only

## test: install and run every test that is quick enough for every change
test: system setup
	$(BIN)/harness setup --ready-only
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m "not slow and not full"

## test-slow: what test leaves out, a sample of which it runs (whole question sets, twenty kills, all hostile servers, ...)
test-slow: system setup
	$(BIN)/harness setup --ready-only
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m "slow and not full"

## test-full: every test, the longest as well (all 270 SciWorld pairs, all MiniWoB++ tasks, ...)
test-full: setup servers
	@.ci/system nginx-light haproxy
	$(BIN)/harness setup --ready-only
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

## test-servers: the tests of tests/servers with llama.cpp's server on a tiny model, which installs in a minute or two
test-servers: system setup
	@.ci/servers llama
	$(BIN)/python -m pytest tests/servers -k llama

# torch stands in no lock: the registry's own build brings gigabytes of CUDA, so .ci/torch takes one for CPUs or none.
TORCH ?= torch==2.13.0
LOCAL := $(VENV)/local

$(LOCAL)/.installed: $(STAMP)
	@echo "installing $(TORCH) and transformers into $(LOCAL), on top of $(VENV)"
	$(BIN)/python -m venv $(LOCAL)
	@sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' constraints.txt > $(LOCAL)/versions.txt
	@.ci/torch $(LOCAL)/bin/python $(TORCH) $(LOCAL)/versions.txt "transformers>=4.57,<5"
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib')); print('$(CURDIR)')" \
	  > "$$($(LOCAL)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/zz_harness.pth"
	@touch $@

## test-local: local models (`hf:PATH`) with a tiny one, on torch for CPUs; fails where torch cannot be had
test-local: $(LOCAL)/.installed
	@started=$$(date +%s); OMP_NUM_THREADS=1 HARNESS_TEST_LOCAL=1 $(LOCAL)/bin/python -m pytest -m "not full" \
	  tests/core/models/test_local_*.py tests/e2e/test_own_model.py::test_one_line_measures_gsm8k_on_a_local_folder \
	  && echo "test-local took $$(($$(date +%s) - started)) s"

# Ray stands in no lock either: the hashed lock holds what every platform has.
RAY ?= ray==2.60.0
DIST := $(VENV)/dist

$(DIST)/.installed: $(STAMP)
	@echo "installing $(RAY) into $(DIST), on top of $(VENV)"
	$(BIN)/python -m venv $(DIST)
	@sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' constraints.txt > $(DIST)/versions.txt
	$(DIST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(DIST)/versions.txt "$(RAY)"
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib')); print('$(CURDIR)')" \
	  > "$$($(DIST)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/zz_harness.pth"
	@touch $@

## test-dist: --executor ray on real clusters of this machine, one node of which is killed; fails where ray cannot be had
test-dist: $(DIST)/.installed
	HARNESS_TEST_DIST=1 $(DIST)/bin/python -m pytest tests/core/test_ray_cluster.py

## chaos: everything of tests/chaos, the long cases with their seeds as well (200 kills, a run stopped for two minutes, ...), then fuzz
chaos: system setup $(VENV)/fuzz/.installed
	$(BIN)/harness setup --ready-only
	$(BIN)/python -m pytest -v -rP -n $(WORKERS) --dist loadscope tests/chaos
	$(VENV)/fuzz/bin/python tests/chaos/fuzz.py --seconds $(FUZZ_S)

# atheris stands in no lock: it has wheels for few platforms, and only fuzzing needs it.
ATHERIS ?= atheris==3.0.0
FUZZ_S ?= 60

$(VENV)/fuzz/.installed: $(STAMP)
	@echo "installing $(ATHERIS) into $(VENV)/fuzz, on top of $(VENV)"
	$(BIN)/python -m venv $(VENV)/fuzz
	@$(VENV)/fuzz/bin/python -m pip install --quiet --disable-pip-version-check "$(ATHERIS)" \
	  || { echo "$(ATHERIS) cannot be installed here: the parsers are not fuzzed, so this target fails"; exit 1; }
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib')); print('$(CURDIR)')" \
	  > "$$($(VENV)/fuzz/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/zz_harness.pth"
	@touch $@

## fuzz: every parser for FUZZ_S seconds (60), by atheris; what crashes one becomes a case of tests/core/test_fuzzed.py
fuzz: $(VENV)/fuzz/.installed
	$(VENV)/fuzz/bin/python tests/chaos/fuzz.py --seconds $(FUZZ_S)

## lint: style, types and import layers
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

## nightly: play the nightly suite and judge it by the baseline: make nightly MODEL=agentlm-7b ENDPOINT=http://gpu:8080
nightly: setup
	@.ci/nightly

## bench: ratios against stated floors; each exits 1 beyond 1.5 x its target (miniwob.py needs chromium-driver as well)
bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

## moved: by how much this tree moved the figures of benchmarks: make moved COMMIT=HEAD~1 SCRIPTS="overhead.py sandbox.py"
moved: setup
	$(BIN)/python benchmarks/support/moved.py $(COMMIT) $(SCRIPTS)

## local, dist: models in this process (torch), shards on a cluster (ray); from what pip offers here, outside the hashes
local dist: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e ".[$@]"

## lock: add what pyproject.toml newly asks for, keeping every version; LOCK=--upgrade resolves all of it anew
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url $(LOCK) -o constraints.txt $(addprefix --extra ,all dev)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
