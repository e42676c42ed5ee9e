#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, if any is missing, and says so.
set -euo pipefail
packages=(build-essential cmake ninja-build pkg-config git ca-certificates
        libuv1-dev libc-ares-dev libcurl4-openssl-dev libmicrohttpd-dev libssl-dev libyaml-dev libjansson-dev libsqlite3-dev
        libldns-dev libpsl-dev libidn2-dev libsystemd-dev libcmocka-dev publicsuffix
        python3 groff-base openssl curl iproute2 util-linux uidmap strace faketime knot knot-dnsutils nsd unbound nginx-light haproxy pebble bind9-dnsutils bind9 ldnsutils systemd prometheus-alertmanager
        certbot lego dehydrated caddy
        apache2) # for its configurations; on a machine without services (policy-rc.d) none of these servers starts
# Whoever has them from elsewhere keeps them: Debian's npm does not stand beside another vendor's node.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
missing=()
for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing with apt: ${missing[*]}"
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends "${missing[@]}"
