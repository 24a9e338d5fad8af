#!/usr/bin/env bash
# A whole installation on this machine's loopback, to try and to break: PostgreSQL, a Redis Cluster of
# three nodes, two replicas of replyguard, and HAProxy in front of them.
#
#     scripts/cluster.sh                 until Ctrl-C
#     scripts/cluster.sh COMMAND…        as long as the command runs
#
# Each part is started again a second after it died, as an orchestrator would. All of it lives in a
# folder of its own, REPLYGUARD_CLUSTER_DIR or a temporary one that is removed at the end.
# REPLYGUARD_BIN may name the binary; else the release build is used.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
bin="${REPLYGUARD_BIN:-$root/target/release/replyguard}"
grpc_port="${GRPC_PORT:-50050}"
http_port="${HTTP_PORT:-8090}"
postgres_port="${POSTGRES_PORT:-55432}"
redis_port="${REDIS_PORT:-7101}"
replica_ports=(50061 50062)
replica_http_ports=(8061 8062)

need() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "This needs $1 (Debian: apt-get install $2)." >&2
    exit 1
}
need redis-server redis-server
need redis-cli redis-tools
need haproxy haproxy
initdb="$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1 || true)"
[ -n "$initdb" ] || need initdb postgresql
[ -x "$bin" ] || { echo "Build it first: cargo build --locked --release" >&2; exit 1; }

work="${REPLYGUARD_CLUSTER_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/replyguard-cluster.XXXXXX")}"
mkdir -p "$work/log" "$work/pid"
# What the run before left: it would end everything at once, and processes of others at the end.
rm -f "$work/stopping" "$work"/pid/*
chmod 755 "$work"
keepers=()
down() {
    local status=$?
    trap - EXIT INT TERM
    touch "$work/stopping"
    for keeper in "${keepers[@]}"; do
        kill "$keeper" 2>/dev/null || true
    done
    # The replicas first, then what they stand on.
    for name in balancer replica-2 replica-1 postgres redis-3 redis-2 redis-1; do
        pid="$(cat "$work/pid/$name" 2>/dev/null || true)"
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    # PostgreSQL takes a moment to end.
    for _ in 1 2 3 4 5; do
        [ -n "${REPLYGUARD_CLUSTER_DIR:-}" ] || rm -rf "$work" 2>/dev/null || { sleep 1; continue; }
        break
    done
    exit "$status"
}
trap down EXIT
trap 'exit 130' INT TERM

# keep NAME COMMAND…: runs the command and starts it again when it died.
keep() {
    local name="$1"
    shift
    (
        trap - EXIT
        while [ ! -e "$work/stopping" ]; do
            "$@" >>"$work/log/$name" 2>&1 </dev/null &
            echo $! >"$work/pid/$name"
            wait $! || true
            sleep 1
        done
    ) &
    keepers+=($!)
}

# wait_for WHAT COMMAND…: until the command succeeds, a minute at the most.
wait_for() {
    local what="$1"
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "gave up waiting for $what; what it said is in $work/log" >&2
    REPLYGUARD_CLUSTER_DIR="$work"
    exit 1
}

# PostgreSQL does not run as root.
as_postgres=()
mkdir -p "$work/postgres"
if [ "$(id -u)" -eq 0 ]; then
    as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres "$work/postgres"
fi
bindir="$(dirname "$(readlink -f "$initdb")")"
if [ ! -e "$work/postgres/PG_VERSION" ]; then
    "${as_postgres[@]}" "$initdb" -D "$work/postgres" -U replyguard --auth=trust -E UTF8 --locale=C >"$work/log/initdb" 2>&1
fi
keep postgres "${as_postgres[@]}" "$bindir/postgres" -D "$work/postgres" -p "$postgres_port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories="" -c max_connections=200
wait_for PostgreSQL "$bindir/pg_isready" -q -h 127.0.0.1 -p "$postgres_port"
"$bindir/createdb" -h 127.0.0.1 -p "$postgres_port" -U replyguard replyguard 2>/dev/null || true

# Three nodes of Redis Cluster.
nodes=()
for n in 1 2 3; do
    port=$((redis_port + n - 1))
    mkdir -p "$work/redis-$n"
    keep "redis-$n" redis-server --port "$port" --bind 127.0.0.1 --dir "$work/redis-$n" --save "" --appendonly no \
        --cluster-enabled yes --cluster-node-timeout 2000 --cluster-require-full-coverage no
    nodes+=("127.0.0.1:$port")
done
for node in "${nodes[@]}"; do
    wait_for "Redis at $node" redis-cli -p "${node#*:}" ping
done
if ! redis-cli -p "$redis_port" cluster info | grep -q "cluster_state:ok"; then
    redis-cli --cluster create "${nodes[@]}" --cluster-yes >"$work/log/redis-create" 2>&1
fi
cluster_is_whole() { redis-cli -p "$redis_port" cluster info | grep -q "cluster_state:ok"; }
wait_for "the Redis Cluster" cluster_is_whole
redis_url="redis+cluster://$(IFS=,; echo "${nodes[*]}")"

# Two replicas that share nothing but these. Who points a link to another binary and ends the replica has the
# other one started in its place. Calls go on for two seconds after /readyz says no: HAProxy looks twice a second.
mkdir -p "$work/bin"
for n in 1 2; do
    ln -sfn "$(readlink -f "$bin")" "$work/bin/replica-$n"
    keep "replica-$n" env \
        REPLYGUARD_DATABASE_URL="postgres://replyguard@127.0.0.1:$postgres_port/replyguard" \
        REPLYGUARD_REDIS_URL="$redis_url" \
        REPLYGUARD_DATA_DIR="$work/replica-$n" \
        REPLYGUARD_DRAIN_DELAY_MS=2000 \
        REPLYGUARD_GRPC_ADDRESS="127.0.0.1:${replica_ports[$((n - 1))]}" \
        REPLYGUARD_HTTP_ADDRESS="127.0.0.1:${replica_http_ports[$((n - 1))]}" \
        "$work/bin/replica-$n" serve
done
ready() { "$bin" doctor --probe "http://127.0.0.1:$1/readyz"; }
for port in "${replica_http_ports[@]}"; do
    wait_for "the replica at $port" ready "$port"
done

# HAProxy: each call to a replica that is ready; one that could not be sent goes to the other, and what was
# sent is sent again as in deploy/haproxy.cfg: only if twice is once.
{
    echo "global
    maxconn 4000
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
frontend grpc
    bind 127.0.0.1:$grpc_port proto h2
    default_backend grpc
backend grpc
    balance leastconn
    retry-on conn-failure
    option httpchk GET /readyz"
    for n in 1 2; do
        echo "    server replica-$n 127.0.0.1:${replica_ports[$((n - 1))]} proto h2 check port ${replica_http_ports[$((n - 1))]} check-proto h1 inter 500ms fall 1 rise 1"
    done
    echo "frontend http
    bind 127.0.0.1:$http_port
    default_backend http
backend http
    balance leastconn
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET { path_beg /console } or { path /1.1/comment-check /1.2/comment-check }
    option httpchk GET /readyz"
    for n in 1 2; do
        echo "    server replica-$n 127.0.0.1:${replica_http_ports[$((n - 1))]} check inter 500ms fall 1 rise 1"
    done
} >"$work/haproxy.cfg"
keep balancer haproxy -db -f "$work/haproxy.cfg"
wait_for "HAProxy" ready "$http_port"

first="$work/replica-1/first-site.json"
[ -e "$first" ] || first="$work/replica-2/first-site.json"
export REPLYGUARD_CLUSTER_DIR_NOW="$work" REPLYGUARD_FIRST_SITE="$first"
cat <<T
PostgreSQL   127.0.0.1:$postgres_port   process in $work/pid/postgres
Redis        ${nodes[*]}   $work/pid/redis-{1,2,3}
replicas     127.0.0.1:${replica_ports[0]} and ${replica_ports[1]}   $work/pid/replica-{1,2}
gRPC         127.0.0.1:$grpc_port   HTTP 127.0.0.1:$http_port   $work/pid/balancer
key          $first
T
if [ $# -gt 0 ]; then
    "$@"
else
    echo "Ctrl-C ends it all."
    while :; do sleep 60 & wait $!; done
fi
