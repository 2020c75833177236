#!/usr/bin/env bash
# fault.sh DIR ACTION [NODE|CONTAINER]
#   pid CONTAINER       the first process of a container, by its id as a pod's status has it
#   squeeze CONTAINER   its memory limit falls until the kernel ends one of its processes
#   kubelet-stop NODE   kubelet dies, containers go on: the node becomes NotReady      kubelet-start NODE
#   cut NODE            no network to anything, processes go on                        heal NODE
#   freeze NODE         kubelet, containerd and every container stand still            thaw NODE
#   crash NODE          every container and kubelet die at once, as without power      kubelet-start NODE
#   api-kill            the API server dies                                            api-start
#                       (controllers and scheduler begin anew with it: with an election they would have ended meanwhile)
. "$(dirname "$0")/common.sh"
cluster_dir "$1"; what=$2 n=${3:-}
group() { echo "/sys/fs/cgroup/$1/$(ns "$n")"; }
daemons() { local p; for p in kubelet containerd; do ! alive "$n.$p" || kill "-$1" "$(pid "$n.$p")"; done; }
first() { cat "$DIR"/node*/state/io.containerd.runtime.v2.task/k8s.io/"${n#*//}"/init.pid; }
# squeeze PID: a limit below what is in use is refused once nothing more can be written out
squeeze() {
  local p=$1 b g i l; b=$(birth "$p") || die "$n does not run"
  g=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' "/proc/$p/cgroup")
  for ((i = 0; i < 300; i++)); do
    l=$(cat "$g/memory.usage_in_bytes") || true
    while [ "${l:-0}" -gt 8388608 ] && { echo "$l" >"$g/memory.limit_in_bytes"; } 2>/dev/null; do l=$((l - 2097152)); done
    [ "$(birth "$p")" = "$b" ] || return 0
    sleep 0.1
  done
  die "$n lives on in $(cat "$g/memory.usage_in_bytes") bytes"
}
case $what in
  pid) first ;;
  squeeze) squeeze "$(first)" ;;
  kubelet-stop) stop "$n.kubelet" 0 ;;
  kubelet-start) alive "$n.kubelet" || again "$n.kubelet" ;;
  cut) ip -n "$CP" link set "$n" down ;;
  heal) ip -n "$CP" link set "$n" up ;;
  freeze) daemons STOP; echo FROZEN >"$(group freezer)/freezer.state" ;;
  thaw) echo THAWED >"$(group freezer)/freezer.state"; daemons CONT ;;
  crash)
    stop "$n.kubelet" 0
    find "$(group pids)" -name cgroup.procs -exec cat {} + | while read -r p; do kill -KILL "$p" 2>/dev/null || true; done ;;
  api-kill) stop apiserver 0 ;;
  api-start)
    alive apiserver || again apiserver
    wait_for 180 apiserver in_control "$PROGRAMS/kubectl" --kubeconfig "$DIR/admin.kubeconfig" get --raw=/readyz
    for d in controllers scheduler; do stop $d 0; again $d; done ;;
  *) die "no such fault: $what" ;;
esac
