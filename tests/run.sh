#!/usr/bin/env bash
# Installs what is missing, builds release and asan, runs every test of both.
set -euo pipefail
cd "$(dirname "$0")/.."
tests/packages.sh
for preset in release asan; do
        cmake --preset "$preset"
        cmake --build --preset "$preset"
        ctest --preset "$preset" -j "$(nproc)"
done
