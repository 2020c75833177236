#!/usr/bin/env bash
# pause.sh PROGRAM OUT.tar [DIR]: the image that holds a pod's namespaces, `localhost/pause:1`, of one static program.
. "$(dirname "$0")/common.sh"
program=$1 out=$2
use_store "${3:-}"
hold shared
container=$(store from scratch)
store add -q "$container" "$program" /pause >/dev/null
store config --entrypoint '["/pause"]' --user 65535:65535 "$container"
# by its id: another run may make, and name, its own meanwhile
image=$(store commit -q --rm --timestamp 0 "$container" localhost/pause:1)
rm -f "$out"
store push -q "$image" "docker-archive:$out:localhost/pause:1"
