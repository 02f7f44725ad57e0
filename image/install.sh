#!/bin/sh
# Install a lock into the environment that is shipped, and take out what nothing of ours loads.
set -eu
environment=/opt/trainbox

/tools/bin/pip --python $environment/bin/python install --quiet --require-hashes --only-binary :all: -r "$1"

cd "$(echo $environment/lib/python3.*/site-packages)"
# What others compile against, what type checkers read, what tests the packages themselves.
rm -rf tensorflow/include numpy/_core/include matplotlib/mpl-data/sample_data
find . -name '*.pyi' -delete
find . -type d -name tests -prune -exec rm -rf {} +
# Compilers for chips, and what would compute on a browser's GPU; a C compiler's library for TensorFlow's own build; the
# program that shows TensorBoard's data, which is looked at elsewhere.
rm -rf ai_edge_litert/tools ai_edge_litert/vendors ai_edge_litert/libLiteRtWebGpuAccelerator.so
rm -rf clang/native tensorboard_data_server/bin
# Names for debuggers: a quarter of TensorFlow. Other packages' libraries were patched in ways that strip breaks.
if [ -d tensorflow ]; then find tensorflow -name '*.so*' -type f -size +1M -exec strip --strip-unneeded {} +; fi
