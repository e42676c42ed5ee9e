#!/usr/bin/env bash
# check.sh BUILD: the units as they are installed, held against systemd's own judgement. Their programs are the build's.
set -euo pipefail
build=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root cmake --install "$build" >/dev/null
units=$(find "$root" -path '*/lib/systemd/system')
for unit in "$units"/*.service; do
        sed -i "s#=-\{0,1\}/[^ ]*/\(dcvd\|dcvd-helper\)\b#=$build/bin/\1#; s#ExecPaths=[^ ]*/dcvd #ExecPaths=$build/bin/dcvd #" "$unit"
done
if grep -q '^ProtectHome=' "$units/dcvd-helper@.service"; then
        echo "dcvd-helper@.service: web roots below /home and links below /root could not be written"
        exit 1
fi
said=$(SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no "$units"/dcvd.service "$units"/dcvd-tokens.socket "$units"/dcvd-tokens-tls.socket "$units"/dcvd-helper.socket "$units"/dcvd-hook.socket 2>&1 | sed -n '/dcvd/p')
[ -z "$said" ] || { echo "$said"; exit 1; }
systemd-analyze security --offline=true --threshold=11 "$units/dcvd.service" >"$root/score" || { tail -3 "$root/score"; exit 1; }
tail -1 "$root/score"
