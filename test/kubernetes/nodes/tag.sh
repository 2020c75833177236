#!/usr/bin/env bash
# tag.sh DIR IMAGE NAME: gives an image of the nodes another name besides, as if it had been pulled by that.
. "$(dirname "$0")/common.sh"
cluster_dir "$1"
for n in $(nodes); do "$PROGRAMS/ctr" -a "$DIR/$n/c.sock" -n k8s.io images tag --force "$2" "$3" >/dev/null; done
