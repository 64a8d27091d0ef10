# The two commands of the README are `make demo` and `make test`. `make help` lists all.

export UV_PYTHON_DOWNLOADS = never
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
SOURCES := src demo deploy devcloud/src tests benchmarks

.PHONY: help demo test unit test-install lint docs format lock benchmark-bank clean

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/.made  ## the main job on a real OpenStack on this machine (needs root)
	$(BIN)/devcloud up $(DEVCLOUD_OPTIONS)
	$(BIN)/devcloud exec -- $(CURDIR)/$(BIN)/python -m demo $(DEMO_OPTIONS)

test: .venv/.made  ## all tests, those on a real OpenStack included (those need root)
	tests/run

unit: .venv/.made  ## the tests that need no cloud
	$(BIN)/pytest tests/unit tests/api

test-install: .venv/.made  ## the install guide, typed on a clean Debian with systemd beside a devcloud (root, 10 minutes; not in CI)
	tests/install/run

lint: .venv/.made  ## style, types, and who may import whom
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.made  ## the documents as HTML in build/docs; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -j auto -d build/doctrees docs build/docs

format: .venv/.made  ## let ruff put the style right
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lock: .venv/.made  ## write constraints.txt anew, with the newest versions
	uv=$$(command -v uv || echo $(BIN)/uv); $$uv pip compile -q --upgrade --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --extra service --extra barbican --extra kubernetes --extra osc --group dev -o constraints.txt \
	  pyproject.toml devcloud/pyproject.toml

benchmark-bank: .venv/.made  ## the bank's speed beside restic and borg (apt-get install restic borgbackup zstd)
	$(BIN)/python benchmarks/bank.py $(BENCHMARK_OPTIONS)

clean:  ## remove what was made here
	rm -rf .venv .venv-karborclient .venv-upstream build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/.made: tools/venv.sh pyproject.toml devcloud/pyproject.toml constraints.txt
	tools/venv.sh
	touch $@
