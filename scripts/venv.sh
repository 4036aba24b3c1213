#!/bin/sh
# Brings .venv up to date: `sh scripts/venv.sh run` to use Surefoot, `sh scripts/venv.sh dev` to work on it.
#
# Does nothing when the locked versions are already in place. Uses uv when there is one, else Python's own venv
# and pip; where Debian ships Python without venv, installs it when root, else prints the command. Every package
# is checked against the hashes in the lock file; Surefoot itself is installed editable.
set -eu
cd "$(dirname "$0")/.."

kind=${1:-}
case $kind in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "usage: scripts/venv.sh run|dev" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

# The stamp holds a checksum of what was installed and where, so that a moved folder is noticed too.
fingerprint() { { pwd; cat pyproject.toml "$1"; } | cksum; }
stamped() { [ -x .venv/bin/python ] && [ "$(cat ".venv/.installed-$1" 2>/dev/null)" = "$(fingerprint "$2")" ]; }

if stamped "$kind" "$lock"; then exit 0; fi
if [ "$kind" = run ] && stamped dev requirements-dev.lock; then exit 0; fi

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if suits "$PYTHON"; then echo "$PYTHON"; return 0; fi
        say "surefoot: PYTHON=$PYTHON is not a Python 3.11 or newer. Unset it, or name another."
        return 1
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if suits "$name"; then command -v "$name"; return 0; fi
    done
    say "surefoot: no Python 3.11 or newer found (looked for python3, python3.11 to python3.14)."
    say "Install one (Debian, Ubuntu: apt-get install -y python3 python3-venv), or say where: make PYTHON=/path/to/python"
    return 1
}

# Debian splits venv off into a package of its own.
ensure_venv() {
    if "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then return 0; fi
    package=python3-venv
    case $(basename "$1") in python3.*) package=$(basename "$1")-venv ;; esac
    if ! command -v apt-get >/dev/null 2>&1; then
        say "surefoot: $1 has no venv module. Install your system's package for it, or uv, then make again."
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "surefoot: $1 has no venv module. Install it, then make again:"
        say "    sudo apt-get install -y $package"
        return 1
    fi
    say "surefoot: installing $package, which $1 needs to make a virtual environment"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"; } \
        >/dev/null 2>"${TMPDIR:-/tmp}/surefoot-apt.$$" && "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return 0
    cat "${TMPDIR:-/tmp}/surefoot-apt.$$" >&2
    say "surefoot: that did not work. Install it by hand, then make again:"
    say "    apt-get update && apt-get install -y $package"
    return 1
}

# The folder is marked as ours before anything goes in, so that a half-made one is repaired and not taken for yours.
begin_folder() {
    mkdir -p .venv
    pwd > .venv/.made-in
}

with_uv() {
    if [ ! -x .venv/bin/python ]; then
        begin_folder
        uv venv --quiet --allow-existing --python "$python" .venv || return 1
    fi
    uv pip install --quiet --python .venv/bin/python --require-hashes -r "$lock" &&
        uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
}

with_pip() {
    if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
        ensure_venv "$python"
        begin_folder
        "$python" -m venv .venv
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
}

python=$(find_python)

# Ours, but moved with the folder (its scripts point to the old place) or broken: made anew. Someone else's: kept.
if [ -e .venv/.made-in ]; then
    if [ "$(cat .venv/.made-in)" != "$(pwd)" ] || { [ -e .venv/bin/python ] && ! suits .venv/bin/python; }; then
        rm -rf .venv
    fi
elif [ -e .venv ] && ! suits .venv/bin/python; then
    say "surefoot: .venv exists but holds no Python 3.11 or newer. Move it away, then make again."
    exit 1
fi

began=$(date +%s)
say "surefoot: installing into .venv (once; a minute or so) ..."
# uv does not read pip's settings, so behind a private mirror only pip may get through.
if command -v uv >/dev/null 2>&1; then
    with_uv || { say "surefoot: uv could not install; trying pip ..."; with_pip; }
else
    with_pip
fi
fingerprint "$lock" > ".venv/.installed-$kind"
say "surefoot: installed in $(($(date +%s) - began)) s"
