#!/bin/sh
# Installs the programs that the tests start, if they are missing. Changes nothing otherwise.
set -eu

missing=""
# need PROGRAM PACKAGE: notes the Debian package if the program is not there.
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
[ -n "$missing" ] || exit 0

root=""
if [ "$(id -u)" -ne 0 ]; then
    root="sudo"
fi
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$root" ] && ! command -v sudo >/dev/null 2>&1; }; then
    echo "The tests need$missing. Please install it with your package manager, then try again" \
        "(Debian: apt-get install$missing; macOS: brew install redis)." >&2
    exit 1
fi

echo "Installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# A machine that never ran `update` has no package lists; one with old lists may still do.
# shellcheck disable=SC2086 # the list is meant to be split into words
$root apt-get install -y -q --no-install-recommends $missing ||
    { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends $missing; }
