#!/usr/bin/env bash
# The second of the two set-up commands: installs what is missing (and says so), builds release and asan, runs every test of both. Tests that need servers run
# inside user and network namespaces of their own (tests/peer/namespace.py). It ends with ctest's own summary.
set -euo pipefail
cd "$(dirname "$0")/.."
tests/packages.sh
for preset in release asan; do
        cmake --preset "$preset"
        cmake --build --preset "$preset"
        ctest --preset "$preset" -j "$((2 * $(nproc) + 1))" # tests with servers wait more than they compute
done
