#!/bin/sh
# Rewrites requirements.lock (to run) and requirements-dev.lock (to work on Surefoot) from pyproject.toml.
# Names, versions and hashes only, for every platform; no index address, so that any mirror serves them.
# Extra arguments go to uv, for example `sh scripts/lock.sh --upgrade`.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    tools=$(mktemp -d)
    trap 'rm -rf "$tools"' EXIT
    .venv/bin/python -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check uv
    uv=$tools/bin/uv
fi

compile() {
    out=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --no-header --output-file "$out" pyproject.toml "$@"
    echo "$out: $(grep -c '^[a-z]' "$out") packages"
}

compile requirements.lock --group build "$@"
# Everything that runs keeps its version when the tools are added.
compile requirements-dev.lock --group dev --constraints requirements.lock "$@"
