#!/bin/sh
# Create or refresh .venv with this checkout installed in place.
#
#   tools/make_venv.sh STAMP [EXTRA]      EXTRA: test, dev
#
# Uses the distribution's Python when it is new enough, else the first one on PATH.
# Rebuilds a .venv that was made in another directory. Does not compile BPF objects.
set -eu

stamp=$1
extra=${2:+[$2]}
venv=.venv
say() { printf '%s\n' "memtrace: $*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

choose_python() {
    for python in ${PYTHON:-} /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        if command -v "$python" >/dev/null && new_enough "$python"; then
            command -v "$python"
            return
        fi
    done
    say "Python 3.11 or newer is needed, and none was found"
    exit 1
}

if ! grep -qs " $PWD/$venv\$" $venv/pyvenv.cfg || ! new_enough $venv/bin/python; then
    python=$(choose_python)
    say "creating $venv with $python"
    "$python" -m venv --clear $venv
fi
say "installing Python packages: memtrace$extra, in place"
# The build hook need not compile here: make does, and says so.
MEMTRACE_SKIP_BPF=1 $venv/bin/python -m pip install -q --disable-pip-version-check \
    --root-user-action=ignore -e ".$extra"
touch "$stamp"
