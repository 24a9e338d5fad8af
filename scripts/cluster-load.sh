#!/usr/bin/env bash
# Load on the installation of scripts/cluster.sh while each of its parts is killed in turn:
#
#     scripts/cluster.sh scripts/cluster-load.sh [SECONDS between kills]
#
# `h2load` sends CheckComment through HAProxy. Afterwards the answers that were given are compared with
# the comments that PostgreSQL has: no acknowledged check may be missing, and none of a forbidden word approved.
# A call that got no answer counts as failed: HAProxy does not send it again, and h2load, whose calls are all the
# same and have no request_id, cannot. scripts/upgrade.sh has callers that try again.
set -euo pipefail
pause="${1:-6}"
work="${REPLYGUARD_CLUSTER_DIR_NOW:?run it by scripts/cluster.sh}"
grpc="127.0.0.1:${GRPC_PORT:-50050}"
bin="${REPLYGUARD_BIN:-$(dirname "$0")/../target/release/replyguard}"
json() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$REPLYGUARD_FIRST_SITE" | head -n 1; }
key="$(json key)"
command -v h2load >/dev/null || { echo "This needs h2load (Debian: apt-get install nghttp2-client)." >&2; exit 1; }
sql() { psql -XAtq -h 127.0.0.1 -p "${POSTGRES_PORT:-55432}" -U replyguard replyguard -c "$1"; }

# Limits that are counted and never reached, and a word that must be rejected.
policy="$work/policy.toml"
{
    printf '[words]\nreject = ["zyxgambling"]\n[limits]\n'
    for rule in ip ip_prefix author page site identical_text; do echo "$rule = \"off\""; done
} >"$policy"
export REPLYGUARD_SERVER="$grpc" REPLYGUARD_KEY="$key"
"$bin" sites set-policy default "$policy" >/dev/null

# The call as gRPC frames it: a prefix of five bytes, then parent (field 1) and comment (field 2) of CheckCommentRequest.
body="$work/call"
python3 - "$body" <<'P'
import struct, sys
def field(number, data): return bytes([number << 3 | 2, len(data)]) + data
comment = field(1, b"Try zyxgambling today") + field(2, b"Ann") + field(3, b"ann@example.org")
message = field(1, b"sites/default") + field(2, comment)
open(sys.argv[1], "wb").write(b"\0" + struct.pack(">I", len(message)) + message)
P
before="$(sql "SELECT count(*) FROM comments")"
victims=(replica-1 replica-2 redis-1 redis-2 redis-3 postgres balancer)
seconds=$(((${#victims[@]} + 1) * pause))
# Eight clients of their own: h2load does not connect again, so each runs in rounds of a second.
clients=()
for n in 1 2 3 4; do
    (
        end=$((SECONDS + seconds))
        while [ "$SECONDS" -lt "$end" ]; do
            h2load -c 1 -m 8 -n 200 -d "$body" -H "content-type: application/grpc" -H "te: trailers" \
                -H "x-api-key: $key" --log-file="$work/log/h2load-$n-$SECONDS-$RANDOM" \
                "http://$grpc/replyguard.v1.CommentService/CheckComment" >>"$work/log/h2load" 2>&1 || sleep 0.2
        done
    ) &
    clients+=($!)
done
for victim in "${victims[@]}"; do
    sleep "$pause"
    echo "kill -9 $victim"
    kill -9 "$(cat "$work/pid/$victim")" 2>/dev/null || true
done
wait "${clients[@]}"
sleep 3
answered="$(awk '/^status codes:/ { sum += $3 } END { print sum + 0 }' "$work/log/h2load")"
failed="$(awk -F'[ ,]+' '/^requests:/ { for (i = 1; i < NF; i++) if ($(i + 1) == "failed") sum += $i } END { print sum + 0 }' "$work/log/h2load")"
after="$(sql "SELECT count(*) FROM comments")"
approved="$(sql "SELECT count(*) FROM comments WHERE verdict = 'approve'")"
echo "answers with HTTP 200: $answered; calls that failed: $failed; comments recorded: $((after - before)); wrongly approved: $approved"
echo "(an answer with HTTP 200 may be a gRPC error, so there may be more answers than comments by those; a recorded one whose answer was lost is one more)"
"$bin" check --site default --author Ann --email ann@example.org "Thank you, the second drawing helped" || true
[ "$approved" -eq 0 ]
