#!/bin/sh
# Install a lock into the environment that is shipped, and take out what nothing imports.
set -eu
lock=$1
environment=/opt/trainbox

/tools/bin/pip --python $environment/bin/python install --quiet --require-hashes --only-binary :all: -r "$lock"

cd "$(echo $environment/lib/python3.*/site-packages)"
# For compiling against, for people, and for type checkers.
rm -rf tensorflow/include numpy/_core/include matplotlib/mpl-data/sample_data matplotlib/mpl-data/images
find . -name '*.pyi' -delete
find . -type d -name tests -prune -exec rm -rf {} +
