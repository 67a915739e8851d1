#!/bin/sh
# Print the first Python that can carry the project. Arguments: the candidates; without any, the usual names.
# 3.11 and 3.12 come first, because the oldest Airflow that we support does not run on anything later.
set -eu
[ $# -gt 0 ] || set -- python3.12 python3.11 python3 python3.13 python3.14

old='' bare=''
for python; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        old="$old $python ($version)"
    elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python"
        exit
    else
        bare=$python package=python$version-venv
    fi
done

if [ -n "$bare" ]; then
    echo "$bare cannot make virtual environments: its modules venv and ensurepip are missing." >&2
    echo "On Debian and Ubuntu: apt-get install $package" >&2
else
    echo "Python 3.11 or later is needed; found:${old:- none}. Name one: make PYTHON=/path/to/python3.11 ..." >&2
fi
exit 1
