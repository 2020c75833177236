#!/usr/bin/env bash
# build.sh CONTEXT TAG OUT.tar [DIR] [options of buildah build...]: builds the unmodified Dockerfile of CONTEXT on the
# base that base.sh made in DIR, and writes an archive that containerd imports. Times in it are SOURCE_DATE_EPOCH, or 0.
. "$(dirname "$0")/common.sh"
context=$1 tag=$2 out=$3
use_store "${4:-}"
shift $(($# < 4 ? $# : 4))
hold shared
# chroot isolation: the default makes a bridge and packet rules in the network of this machine.
# The two mounts exist during RUN alone: npm trusts what this machine trusts, and asks the registry that it asks.
npmrc=$(mktemp)
trap 'rm -f "$npmrc"' EXIT
# a download that stands still is begun again after a minute, not after five
printf '%s\n' cafile=/etc/ssl/certs/ca-certificates.crt fetch-timeout=60000 fetch-retries=5 >"$npmrc"
# pushed by its id: another run may build, and name, its own meanwhile
image=$(store build -q --isolation chroot --pull-never --layers --timestamp "${SOURCE_DATE_EPOCH:-0}" \
  -v /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro -v "$npmrc:/root/.npmrc:ro" \
  "$@" -t "$tag" "$context" | tail -n 1)
rm -f "$out"
store push -q "$image" "docker-archive:$out:$tag"
