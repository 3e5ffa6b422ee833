#!/bin/sh
# Installs what the examples and tests run besides Node: OCI runtimes, a registry, other image tools, archivers.
# Quick where all of it is there. Only Debian and its kin are known; elsewhere it says what is missing.
set -eu
programs="time:time runc:runc crun:crun busybox:busybox-static debootstrap:debootstrap docker-registry:docker-registry skopeo:skopeo umoci:umoci buildah:buildah dockerd:docker.io newuidmap:uidmap setcap:libcap2-bin getfattr:attr xz:xz-utils bzip2:bzip2 zstd:zstd pigz:pigz git:git tmux:tmux python3:python3 htpasswd:apache2-utils chromium:chromium openssl:openssl wrk:wrk"
missing=""
PATH="$PATH:/usr/sbin:/sbin"
for pair in $programs; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# busybox without -static would do for nothing here.
if command -v busybox >/dev/null 2>&1 && ldd "$(command -v busybox)" >/dev/null 2>&1; then missing="$missing busybox-static"; fi
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "missing:$missing (names of Debian packages); install them by your system's means" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "missing:$missing; as root run: apt-get update && apt-get install$missing" >&2
  exit 1
fi
echo "installing:$missing"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
