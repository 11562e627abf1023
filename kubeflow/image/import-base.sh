#!/bin/sh
# Makes a base image from Debian's packages, where no image registry can be reached: import-base.sh TAG
# Needs root, debootstrap and podman.
set -eu
tag=$1
mirror=${2:-http://deb.debian.org/debian}
for tool in debootstrap podman; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "debootstrap makes a root file system: run this as root" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
debootstrap --variant=minbase --include=ca-certificates,python3 bookworm "$root" "$mirror"
tar -C "$root" --exclude './var/cache/apt/archives/*.deb' --exclude './var/lib/apt/lists/*_*' -c . | podman import - "$tag"
