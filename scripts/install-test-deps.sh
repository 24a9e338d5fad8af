#!/bin/sh
# Installs the programs that the tests start, if they are missing, and axe-core into target/.
# Changes nothing otherwise.
set -eu
cd "$(dirname "$0")/.."

axe_version="4.14.1"
axe="target/test-tools/node_modules/axe-core"

missing=""
# need PROGRAM PACKAGE: notes the Debian package if the program is not there.
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
need chromium chromium
need chromedriver chromium-driver
has_axe() {
    grep -qs "\"version\": \"$axe_version\"" "$axe/package.json"
}
has_axe || need npm npm

if [ -n "$missing" ]; then
    root=""
    if [ "$(id -u)" -ne 0 ]; then
        root="sudo"
    fi
    if ! command -v apt-get >/dev/null 2>&1 ||
        { [ -n "$root" ] && ! command -v sudo >/dev/null 2>&1; }; then
        echo "The tests need$missing. Please install it with your package manager, then try again" \
            "(Debian: apt-get install$missing; macOS: brew install redis node, and Chromium with" \
            "its chromedriver)." >&2
        exit 1
    fi
    echo "Installing for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # A machine that never ran `update` has no package lists; one with old lists may still do.
    # shellcheck disable=SC2086 # the list is meant to be split into words
    $root apt-get install -y -q --no-install-recommends $missing ||
        { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends $missing; }
fi

if ! has_axe; then
    echo "Installing for the tests: axe-core $axe_version, into target/test-tools"
    mkdir -p target/test-tools
    npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix target/test-tools \
        "axe-core@$axe_version"
fi
