#!/usr/bin/env bash
# A change of version while callers go on: two replicas of an older revision on PostgreSQL and Redis
# behind HAProxy (scripts/cluster.sh) are replaced one after the other by what stands here.
#
#     scripts/upgrade.sh OLD_REVISION [SECONDS of each phase]
#
# Callers (examples/upgrade_load.rs) send comments and labels all the time, and in the end read back each that
# was acknowledged. Exit code 0: no call failed and nothing is missing. Both versions are built without
# link-time optimisation; REPLYGUARD_OLD_BIN, REPLYGUARD_NEW_BIN and REPLYGUARD_LOAD_BIN spare that.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Inside of the installation, which has replicas of the old version.
replace() {
    local seconds="$1" work="$REPLYGUARD_CLUSTER_DIR_NOW"
    local key stop="$work/stop-load"
    key="$(sed -n 's/.*"key": *"\([^"]*\)".*/\1/p' "$REPLYGUARD_FIRST_SITE" | head -n 1)"
    schema() { psql -XAtq -h 127.0.0.1 -p "${POSTGRES_PORT:-55432}" -U replyguard replyguard -c "SELECT version FROM replyguard_schema"; }
    phase() {
        echo "$(date +%T)  $1; schema $(schema)"
        sleep "$seconds"
    }
    "$REPLYGUARD_LOAD_BIN" "127.0.0.1:${GRPC_PORT:-50050}" "$key" "$stop" >"$work/load" 2>&1 &
    local load=$! before
    phase "both replicas are old"
    for n in 1 2; do
        ln -sfn "$REPLYGUARD_NEW_BIN" "$work/bin/replica-$n"
        before="$(cat "$work/pid/replica-$n")"
        kill "$before"
        # It drains, ends with code 0 and is started again, as the new version.
        for _ in $(seq 600); do
            now="$(cat "$work/pid/replica-$n")"
            [ "$now" != "$before" ] && [ "$(readlink "/proc/$now/exe")" = "$(readlink -f "$REPLYGUARD_NEW_BIN")" ] &&
                "$REPLYGUARD_NEW_BIN" doctor --probe "http://127.0.0.1:806$n/readyz" >/dev/null 2>&1 && break
            kill -0 "$load" 2>/dev/null || { cat "$work/load"; echo "the callers gave up" >&2; return 1; }
            sleep 0.1
        done
        if [ "$n" = 1 ]; then phase "replica 1 is new, replica 2 is old"; else phase "both replicas are new"; fi
    done
    touch "$stop"
    wait "$load" && status=0 || status=$?
    cat "$work/load"
    return "$status"
}

if [ "${1:-}" = --inside ]; then
    replace "$2"
    exit
fi
revision="${1:?which revision is the older one?}"
seconds="${2:-20}"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0
target="${CARGO_TARGET_DIR:-$root/target}"
built="$(mktemp -d "${TMPDIR:-/tmp}/replyguard-upgrade.XXXXXX")"
trap 'git -C "$root" worktree remove --force "$built/worktree" 2>/dev/null || true; rm -rf "$built"' EXIT
if [ -z "${REPLYGUARD_OLD_BIN:-}" ]; then
    git -C "$root" worktree add --detach "$built/worktree" "$revision" >/dev/null
    (cd "$built/worktree" && CARGO_TARGET_DIR="$target" cargo build --locked --release --bin replyguard)
    cp "$target/release/replyguard" "$built/old"
    REPLYGUARD_OLD_BIN="$built/old"
fi
if [ -z "${REPLYGUARD_NEW_BIN:-}" ] || [ -z "${REPLYGUARD_LOAD_BIN:-}" ]; then
    (cd "$root" && CARGO_TARGET_DIR="$target" cargo build --locked --release --bin replyguard --example upgrade_load)
    REPLYGUARD_NEW_BIN="$target/release/replyguard"
    REPLYGUARD_LOAD_BIN="$target/release/examples/upgrade_load"
fi
export REPLYGUARD_NEW_BIN REPLYGUARD_LOAD_BIN
REPLYGUARD_BIN="$REPLYGUARD_OLD_BIN" "$root/scripts/cluster.sh" "$root/scripts/upgrade.sh" --inside "$seconds"
