#!/bin/sh
# Installs the programs that the tests start, if they are missing, and into target/ what they use:
# axe-core, and Akismet's client libraries.
# Changes nothing otherwise.
set -eu
cd "$(dirname "$0")/.."

tools="target/test-tools"
# NAME VERSION of the npm packages. npm takes away what it is not told of: they go in one call.
npm_packages="axe-core 4.14.1
akismet-api 6.0.0
@cedx/akismet 16.2.1"
python_packages="tests/akismet/requirements.txt"

missing=""
# need PROGRAM PACKAGE: notes the Debian package if the program is not there.
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
has_postgres() {
    command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}
has_postgres || missing="$missing postgresql"
need chromium chromium
need chromedriver chromium-driver
need node nodejs
has_npm_packages() {
    echo "$npm_packages" | while read -r name version; do
        grep -qs "\"version\": \"$version\"" "$tools/node_modules/$name/package.json" || exit 1
    done
}
has_npm_packages || need npm npm
has_python_packages() {
    cmp -s "$python_packages" "$tools/python/installed.txt"
}
if ! has_python_packages; then
    need python3 python3
    # Debian keeps what makes environments apart from Python.
    python3 -c "import ensurepip" 2>/dev/null || missing="$missing python3-venv"
fi

if [ -n "$missing" ]; then
    root=""
    if [ "$(id -u)" -ne 0 ]; then
        root="sudo"
    fi
    if ! command -v apt-get >/dev/null 2>&1 ||
        { [ -n "$root" ] && ! command -v sudo >/dev/null 2>&1; }; then
        echo "The tests need$missing. Please install it with your package manager, then try again" \
            "(Debian: apt-get install$missing; macOS: brew install redis postgresql node python3, and Chromium with" \
            "its chromedriver)." >&2
        exit 1
    fi
    echo "Installing for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    case "$missing" in
    *" postgresql"*)
        # The tests start servers of their own: Debian's shall make and start none.
        $root apt-get install -y -q --no-install-recommends postgresql-common ||
            { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends postgresql-common; }
        $root sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
        ;;
    esac
    # A machine that never ran `update` has no package lists; one with old lists may still do.
    # shellcheck disable=SC2086 # the list is meant to be split into words
    $root apt-get install -y -q --no-install-recommends $missing ||
        { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends $missing; }
fi

if ! has_npm_packages; then
    wanted=$(echo "$npm_packages" | tr ' \n' '@ ')
    echo "Installing for the tests into $tools: $wanted"
    mkdir -p "$tools"
    # shellcheck disable=SC2086 # the list is meant to be split into words
    npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$tools" $wanted
fi

if ! has_python_packages; then
    echo "Installing for the tests into $tools: $(tr '\n' ' ' <"$python_packages")"
    rm -rf "$tools/python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check -r "$python_packages"
    cp "$python_packages" "$tools/python/installed.txt"
fi
