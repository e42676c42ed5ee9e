#!/usr/bin/env bash
# The first of the two set-up commands: installs what is missing (and says so), builds, and shows the main job on real servers, inside namespaces of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
tests/packages.sh
cmake --preset release >/dev/null
cmake --build --preset release --target dcvd dcvctl dcvd-helper
DCVD_BUILD=$PWD/build/release/bin exec python3 -B tests/demo.py
