#!/bin/sh
# Runs one benchmark, or lists them. A benchmark is a module bench/NAME.py that prints a table to its standard
# output and writes its numbers to the file named by --json; every further argument is its own. With PEERS=1 the
# libraries of bench/peers.txt are installed beside and measured in the same run.
set -eu
cd "$(dirname "$0")/.."

names() {
    for file in bench/[a-z]*.py; do
        if [ -e "$file" ]; then basename "$file" .py | tr _ -; fi
    done
}

if [ "${1:-}" = --list ]; then
    names | sed 's/^/  make bench-/'
    exit 0
fi

name=$1
shift
module=$(printf %s "$name" | tr - _)
if [ ! -e "bench/$module.py" ]; then
    known=$(names | tr '\n' ' ')
    echo "There is no benchmark called $name. These exist: ${known:-none yet}" >&2
    exit 2
fi
sh scripts/venv.sh dev
mkdir -p .bench
if [ -n "${PEERS:-}" ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .venv/peers \
        -r bench/peers.txt
    export PYTHONPATH=".venv/peers${PYTHONPATH:+:$PYTHONPATH}"
fi
exec .venv/bin/python -m "bench.$module" --json ".bench/$name.json" "$@"
