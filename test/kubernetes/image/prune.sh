#!/usr/bin/env bash
# prune.sh [DIR]: takes old builds out of the store of DIR, so that it stays below about 4 GB: of images without a name
# (what a build made on its way, which the next one takes again) the latest KEEP lines stay, and of archives those whose
# run is alive. Does nothing while somebody builds: the next run will.
. "$(dirname "$0")/common.sh"
use_store "${1:-}"
KEEP=${KEEP:-8}
exec 9>"$DIR/lock"
flock --exclusive --nonblock 9 || exit 0
for archive in "$DIR"/*-[0-9]*.tar; do
  pid=${archive##*-}
  [ ! -e "$archive" ] || [ -e "/proc/${pid%.tar}" ] || rm -f "$archive"
done
# a build that was killed leaves its container, which keeps its image
store containers -q | xargs -r -n 1 buildah --root "$DIR/store" --runroot "$DIR/run" --storage-driver overlay rm >/dev/null
# the last image of each line; it goes with all before it that nothing else needs. By the time of its record: that in
# the image is the same for all of them
for image in $(store images --filter dangling=true --no-trunc --format '{{.ID}}' | sed 's/^sha256://' | sort -u); do
  echo "$(stat -c %Y "$DIR/store/overlay-images/$image") $image"
done | sort -rn | tail -n "+$((KEEP + 1))" | while read -r _ image; do
  store rmi "$image" >/dev/null
done
