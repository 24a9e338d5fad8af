#!/usr/bin/env bash
# Brings up a WordPress of its own with Akismet's unmodified plugin, our must-use plugin and a
# replyguard, runs the command it is given, and takes all of it down again:
#
#     tests/wordpress/with-wordpress.sh php tests/wordpress/check.php
#
# Nothing is left and nothing of the system is used: a MariaDB on a socket in a temporary folder, PHP's
# own web server on a free port of 127.0.0.1. `scripts/install-wordpress.sh` brings the programs.
# WORDPRESS may name the folder of another WordPress than Debian's, REPLYGUARD_BIN another replyguard.
# The command finds in its environment: WP_URL, WP_PATH, WP_USER, WP_PASSWORD, REPLYGUARD_URL,
# REPLYGUARD_DATA, REPLYGUARD_BIN and REPLYGUARD_CTL, a script that takes `start` and `stop`.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
source="${WORDPRESS:-$root/target/test-tools/wordpress/usr/share/wordpress}"
export REPLYGUARD_BIN="${REPLYGUARD_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/replyguard}"
mariadbd="$(command -v mariadbd || echo /usr/sbin/mariadbd)"

work="$(mktemp -d "${TMPDIR:-/tmp}/wordpress.XXXXXX")"
# Each leads a process group, which ends as a whole: PHP's server does not end its workers.
pids=()
down() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 12 "$work"/{replyguard,mariadb,install,web}.log >&2 || true
    fi
    "$work/replyguard-ctl" stop 2>/dev/null || true
    for pid in "${pids[@]}"; do
        kill -- "-$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap down EXIT
trap 'exit 130' INT TERM

# wait_for WHAT COMMAND…: until the command succeeds, a minute at the most.
wait_for() {
    local what="$1"
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "gave up waiting for $what" >&2
    exit 1
}

free_port() {
    php -r '$s = stream_socket_server("tcp://127.0.0.1:0"); echo preg_replace("/.*:/", "", stream_socket_get_name($s, false));'
}

# The database.
database="$work/database"
mkdir "$database"
user="$(id -un)"
mariadb-install-db --no-defaults --datadir="$database" --user="$user" --auth-root-authentication-method=normal \
    --skip-test-db >"$work/mariadb-install.log" 2>&1
setsid "$mariadbd" --no-defaults --datadir="$database" --socket="$work/db.sock" --pid-file="$work/db.pid" --user="$user" \
    --skip-networking --innodb-flush-log-at-trx-commit=0 >"$work/mariadb.log" 2>&1 &
pids+=($!)
query() {
    mariadb --no-defaults --socket="$work/db.sock" --user=root "$@"
}
wait_for "MariaDB" query -e "SELECT 1"
query -e "CREATE DATABASE wordpress CHARACTER SET utf8mb4"

# replyguard, with the default policy.
http="127.0.0.1:$(free_port)"
export REPLYGUARD_URL="http://$http" REPLYGUARD_DATA="$work/replyguard"
export REPLYGUARD_CTL="$work/replyguard-ctl"
cat >"$REPLYGUARD_CTL" <<END
#!/usr/bin/env bash
# Starts or stops the service, and waits until that is done.
set -eu
case "\$1" in
start)
    "$REPLYGUARD_BIN" serve --data-dir "$REPLYGUARD_DATA" --grpc-address 127.0.0.1:0 --http-address "$http" \
        >>"$work/replyguard.log" 2>&1 </dev/null &
    echo \$! >"$work/replyguard.pid"
    for _ in \$(seq 600); do
        curl -sf "$REPLYGUARD_URL/readyz" >/dev/null && exit 0
        sleep 0.1
    done
    exit 1
    ;;
stop)
    pid="\$(cat "$work/replyguard.pid")"
    kill "\$pid"
    for _ in \$(seq 200); do
        kill -0 "\$pid" 2>/dev/null || exit 0
        sleep 0.05
    done
    ;;
esac
END
chmod +x "$REPLYGUARD_CTL"
"$REPLYGUARD_CTL" start

# WordPress: Debian's files, our settings, our must-use plugin.
export WP_PATH="$work/site"
export WP_USER="editor" WP_PASSWORD="bread and butter 4711"
web="127.0.0.1:$(free_port)"
export WP_URL="http://$web"
cp -RL "$source" "$WP_PATH" 2>/dev/null || true # a link or two lead to files of the system
mkdir -p "$WP_PATH/wp-content/mu-plugins" "$WP_PATH/wp-content/uploads"
cp "$root/integrations/wordpress/replyguard.php" "$WP_PATH/wp-content/mu-plugins/"
cat >"$WP_PATH/wp-config.php" <<END
<?php
define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', 'root' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:$work/db.sock' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'WP_HOME', '$WP_URL' );
define( 'WP_SITEURL', '$WP_URL' );
define( 'AUTH_KEY', 'a' );
define( 'SECURE_AUTH_KEY', 'b' );
define( 'LOGGED_IN_KEY', 'c' );
define( 'NONCE_KEY', 'd' );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
// The test says when cron runs, and nothing but replyguard is called.
define( 'DISABLE_WP_CRON', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'WP_ACCESSIBLE_HOSTS', '127.0.0.1' );
if ( ! getenv( 'WITHOUT_REPLYGUARD_URL' ) ) {
	define( 'REPLYGUARD_URL', '$REPLYGUARD_URL' );
}
\$table_prefix = 'wp_';
if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', __DIR__ . '/' );
}
require_once ABSPATH . 'wp-settings.php';
END
php_flags=(-d sendmail_path=/bin/true -d display_errors=0 -d log_errors=1 -d memory_limit=256M)
php "${php_flags[@]}" "$here/install.php" >"$work/install.log" 2>&1
PHP_CLI_SERVER_WORKERS=4 setsid php "${php_flags[@]}" -S "$web" -t "$WP_PATH" >"$work/web.log" 2>&1 &
pids+=($!)
wait_for "WordPress" curl -sf "$WP_URL/wp-login.php"

"$@"
