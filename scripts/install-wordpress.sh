#!/bin/sh
# Brings what `make wordpress-test` needs: Debian's PHP and MariaDB, without their services, and
# Debian's WordPress with Akismet's own plugin, unpacked into target/. Changes nothing otherwise.
set -eu
cd "$(dirname "$0")/.."

tools="target/test-tools"
wordpress="$tools/wordpress/usr/share/wordpress"

root=""
if [ "$(id -u)" -ne 0 ]; then
    root="sudo"
fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "This test takes WordPress from Debian's packages, and this is no Debian." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive

missing=""
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] ||
    missing="$missing mariadb-server-core mariadb-client-core"
command -v php >/dev/null 2>&1 || missing="$missing php-cli"
# NAME PACKAGE: extensions of PHP.
for extension in mysqli:php-mysql curl:php-curl mbstring:php-mbstring dom:php-xml; do
    php -m 2>/dev/null | grep -qx "${extension%:*}" || missing="$missing ${extension#*:}"
done
if [ -n "$missing" ]; then
    echo "Installing for the test:$missing"
    # shellcheck disable=SC2086 # the list is meant to be split into words
    $root apt-get install -y -q --no-install-recommends $missing ||
        { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends $missing; }
fi

# Installed, the package wants a web server as a system service. Its files are enough.
if [ ! -e "$wordpress/wp-settings.php" ]; then
    echo "Unpacking WordPress into $tools/wordpress"
    rm -rf "$tools/wordpress" "$tools/wordpress-packages"
    mkdir -p "$tools/wordpress-packages"
    (
        cd "$tools/wordpress-packages"
        packages="wordpress wordpress-theme-twentytwentythree php-getid3 libjs-cropper libjs-underscore"
        # shellcheck disable=SC2086
        apt-get download -q $packages 2>/dev/null ||
            { $root apt-get update -q && apt-get download -q $packages; }
    )
    for package in "$tools"/wordpress-packages/*.deb; do
        dpkg-deb -x "$package" "$tools/wordpress"
    done
fi
