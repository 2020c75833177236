#!/usr/bin/env bash
# down.sh DIR [OWNER]: ends a cluster, however far it got and whatever state it is in: processes, containers, cgroups,
# mounts, namespaces, data. Nothing where there is none. With OWNER, that run's cluster alone: the next run may have
# begun its own in DIR meanwhile.
. "$(dirname "$0")/common.sh"
# one at a time: the guard of a run that was killed ends its cluster while the next run wants to begin one
exec 8>"$1.lock"
flock 8
[ -z "${2:-}" ] || [ "$(cat "$1/owner" 2>/dev/null)" = "$2" ] || exit 0
cluster_dir "$1"
WAITS=600 # of a tenth of a second each: who waits for a disk ends later
left=

# kill_all COMMAND...: ends every process that the command names, until it names none
kill_all() {
  local i p
  for ((i = 0; i < WAITS; i++)); do
    p=$("$@"); [ -n "$p" ] || return 0
    # shellcheck disable=SC2086
    kill -KILL $p 2>/dev/null || true; sleep 0.1
  done
  left="$left processes $p"
}
in_pods() { find "/sys/fs/cgroup/pids/$(ns "$1")" -name cgroup.procs -exec cat {} + 2>/dev/null || true; }

for n in $(nodes); do
  stop "$n.kubelet" 0 || true
  # thawed first: a frozen process cannot die
  f=/sys/fs/cgroup/freezer/$(ns "$n")/freezer.state; [ ! -e "$f" ] || echo THAWED >"$f"
  kill_all in_pods "$n"
  stop "$n.containerd" 2 || true
  # shims outlive containerd by design
  kill_all ip netns pids "$(ns "$n")"
done
# nothing here needs an end in order; the tests of a run that was killed are here, too
[ ! -e "/run/netns/$CP" ] || kill_all ip netns pids "$CP"
for n in $(nodes); do
  for c in $CONTROLLERS; do   # a group goes only after its last process was reaped
    g=/sys/fs/cgroup/$c/$(ns "$n")
    for ((i = 0; i < WAITS; i++)); do
      [ -d "$g" ] || break
      find "$g" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
    [ ! -d "$g" ] || left="$left $g"
  done
  ip netns del "$(ns "$n")"
done
[ ! -e "/run/netns/$CP" ] || ip netns del "$CP"
for ((i = 0; i < WAITS; i++)); do rm -rf --one-file-system "$DIR" 2>/dev/null && break; sleep 0.1; done
[ ! -e "$DIR" ] || left="$left $DIR"
[ -z "$left" ] || die "what cannot be ended, or taken away:$left"
