#!/bin/sh
# Make the virtual environment $1 and install the project with the tested versions.
set -eu
venv=$1
python=${PYTHON:-python3.11}

say() { echo "setup: $*" >&2; }

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
    say "needs Python 3.11 to 3.14; install python3.11 or name one: make setup PYTHON=/usr/bin/python3.12"
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian splits pip's bootstrap into a package of its own.
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "this Python lacks ensurepip: installing ${version}-venv"
        apt-get update -q && apt-get install -q -y --no-install-recommends "${version}-venv"
    else
        say "this Python cannot make environments: run  sudo apt-get install ${version}-venv  and try again"
        exit 1
    fi
fi
say "creating $venv (about 6 GB with CUDA libraries; a minute on a fast line)"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
say "done"
