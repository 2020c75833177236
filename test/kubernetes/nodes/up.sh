#!/usr/bin/env bash
# up.sh DIR NODES IMAGE.tar...: a whole cluster in network namespaces of its own. The machine's main namespace gets no
# interface, no route, no rule and no sysctl. Control plane on 10.200.0.254; nodes node1… on 10.200.0.N with pods
# 10.244.N.0/24, each with a containerd and a kubelet in a mount namespace. down.sh DIR ends it, whatever came of it.
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd); t0=$(date +%s%N); ms() { echo $((($(date +%s%N) - t0) / 1000000)) ms; }
cluster_dir "$1"; count=$2; shift 2
[ ! -e "/run/netns/$CP" ] || die "$DIR is in use: end it with down.sh $DIR first"
. "$here/network.sh"; . "$here/control.sh"; . "$here/node.sh"
pids=(); trap '[ -z "${cp:-}" ] || wait $cp "${pids[@]}" || true' ERR # nothing is started after the end of this

network_up
printf '#!/bin/sh\nexec nsenter --net=/run/netns/%s -- env KUBECONFIG=%s PATH=%s:"$PATH" "$@"\n' "$CP" "$DIR/admin.kubeconfig" "$PROGRAMS" >"$DIR/in-cluster"
chmod 755 "$DIR/in-cluster"
authority
control_up & cp=$!
# meanwhile the images
for ((i = 1; i <= count; i++)); do containerd_up node$i $i "$@" & pids+=($!); done
for p in "${pids[@]}"; do wait "$p"; done; echo "containerd and images after $(ms)"
wait $cp
for ((i = 1; i <= count; i++)); do kubelet_up node$i $i; done
for ((i = 1; i <= count; i++)); do
  wait_for 180 node$i.kubelet in_control "$PROGRAMS/kubectl" --kubeconfig "$DIR/admin.kubeconfig" wait --for=condition=Ready --timeout=1s node/node$i
  echo "node$i Ready after $(ms) (containerd $(rss node$i.containerd), kubelet $(rss node$i.kubelet))"
done
