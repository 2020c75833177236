# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: one image store under DIR, which several builds share.
set -euo pipefail
BASE=localhost/node:24-bookworm-slim # `FROM node:24-bookworm-slim` finds this name in a local store

# The directory that holds the store: the argument, or the place where the tests keep what is made once.
use_store() {
  DIR=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/l2cap/images}
  mkdir -p "$DIR"
  DIR=$(cd "$DIR" && pwd)
}

# hold <shared|exclusive>: nothing is taken out of the store while somebody builds in it. The lock is that of
# an open file: it ends with the process, however that ends.
hold() {
  exec 9>"$DIR/lock"
  flock "--$1" 9
}

# patiently COMMAND...: for what comes from elsewhere: a download that stands still, or fails once, is begun again
patiently() {
  local try
  for try in 1 2 3; do
    ! timeout --kill-after=60 900 "$@" || return 0
    echo "try $try of 3 failed, or took longer than 15 minutes: $*" >&2
    sleep 5
  done
  return 1
}

# buildah with the store of DIR; it keeps a small cache of blobs in /var/lib/containers/cache besides.
store() { buildah --root "$DIR/store" --runroot "$DIR/run" --storage-driver overlay "$@"; }
