# shellcheck shell=bash
# Sourced by up.sh: what runs on a node.

containerd_up() { # containerd_up NODE NUMBER IMAGE.tar...
  local n=$1 i=$2 d=$DIR/$1 t; shift 2; mkdir -p "$d/cni" "$d/sysctl"
  cat >"$d/cni/10-pods.conflist" <<J
{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,"hairpinMode":true,
 "ipam":{"type":"host-local","dataDir":"$d/cni-data","ranges":[[{"subnet":"10.244.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
J
  # restrict_oom_score_adj: root may lack the right to lower it (in a container, on some machines of CI)
  cat >"$DIR/$n.containerd.toml" <<T
version = 3
root = "$d/containerd"
state = "$d/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "$d/c.sock"
[ttrpc]
  address = "$d/c.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "$d/opt"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = "$(command -v runc)"
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$PROGRAMS"]
    conf_dir = "$d/cni"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
T
  # Sockets, device plug-ins, links of logs and results of the network have fixed places below /run, /var/lib and
  # /var/log: a file system of its own over each keeps nodes apart and leaves nothing behind. kubelet insists on four
  # sysctls of the whole machine: files of its own are put there, and the machine's values stay.
  start "$n.containerd" nsenter --net="/run/netns/$(ns "$n")" -- unshare -m --propagation private -- bash -ec '
    d=$1; programs=$2; conf=$3; mount --make-rshared /
    for t in /run /var/lib /var/log; do mount -t tmpfs -o size=64m,mode=755 none $t; done; mkdir -p /run/lock /var/lib/kubelet /var/log/containers
    for kv in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1; do
      f=$d/sysctl/$(basename ${kv%=*}); echo ${kv#*=} >$f; mount --bind $f /proc/sys/${kv%=*}; done
    PATH=$programs:$PATH exec containerd -c $conf' _ "$d" "$PROGRAMS" "$DIR/$n.containerd.toml"
  local ctr=("$PROGRAMS/ctr" -a "$d/c.sock" -n k8s.io)
  wait_for 120 "$n.containerd" "${ctr[@]}" version
  for t in "$@"; do "${ctr[@]}" images import "$t" >>"$DIR/$n.import.log" 2>&1 || die "$n: cannot import $t: $(tail -1 "$DIR/$n.import.log")"; done
}

kubelet_up() { # kubelet_up NODE NUMBER
  local n=$1 i=$2 k=$DIR/$1/kubelet c f; mkdir -p "$k"; : >"$k/resolv.conf"
  kubeconfig "$n" "/O=system:nodes/CN=system:node:$n"
  for c in $CONTROLLERS; do [ ! -d "/sys/fs/cgroup/$c" ] || mkdir -p "/sys/fs/cgroup/$c/$(ns "$n")"; done
  # empty otherwise: no process could enter
  for f in cpus mems; do cat /sys/fs/cgroup/cpuset/cpuset.$f >"/sys/fs/cgroup/cpuset/$(ns "$n")/cpuset.$f"; done
  cat >"$k/config.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$DIR/$n/c.sock
failCgroupV1: false                 # where the kernel offers the first version alone
cgroupDriver: cgroupfs
cgroupRoot: /$(ns "$n")
enforceNodeAllocatable: [pods]
oomScoreAdj: 0                      # lower needs a right that root may lack
maxOpenFiles: 20000
protectKernelDefaults: true         # it looks at the sysctls (its own copies) and never writes them
failSwapOn: false
address: $LAN.$i
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
resolvConf: $k/resolv.conf
podLogsDir: $DIR/$n/logs
volumePluginDir: $k/plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
volumeStatsAggPeriod: 5s            # a volume over its limit is evicted at the next look after that
nodeStatusUpdateFrequency: 2s       # what is late is not lost: the control plane waits for many of them
nodeLeaseDurationSeconds: 8
featureGates: {KubeletCrashLoopBackOffMax: true}
crashLoopBackOff: {maxContainerRestartPeriod: 2s}
Y
  start "$n.kubelet" nsenter -t "$(pid "$n.containerd")" -m -n -- "$PROGRAMS/kubelet" --config "$k/config.yaml" --root-dir "$k/root" --cert-dir "$k/pki" \
    --kubeconfig "$DIR/$n.kubeconfig" --hostname-override "$n" --node-ip $LAN.$i --v=1
}
