#!/bin/sh
# Installs lock files, then lorabay itself, into a Python environment.
# Usage: requirements/install.sh [--copy] PYTHON LOCK...
#   --copy  install a copy of lorabay instead of a link to this folder
# `make setup` and the Dockerfile both call this; an image takes the locks first, while there is no pyproject.toml yet.
# torch goes in a call of its own, so that its second index is asked about one package and not about all of them.
set -eu
cd "$(dirname "$0")/.."
editable=--editable
if [ "$1" = --copy ]; then editable=; shift; fi
python=$1; shift
pip() { "$python" -m pip --disable-pip-version-check "$@"; }

for lock in "$@"; do
    if [ "$lock" = requirements/torch.txt ]; then
        # A CPU wheel that pip is already set up to find (--find-links, a mirror) comes first.
        pip install --quiet --no-deps -r "$lock" 2>/dev/null ||
            pip install --no-deps -r "$lock" --extra-index-url https://download.pytorch.org/whl/cpu
    else
        pip install --no-deps -r "$lock"
    fi
done
if [ -f pyproject.toml ]; then
    pip install --quiet --no-deps $editable .
fi
