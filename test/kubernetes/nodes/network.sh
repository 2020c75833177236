# shellcheck shell=bash
# Sourced by up.sh. One bridge in the control plane's namespace, one pair of interfaces for each node. Everything is
# routed and nothing translated: pods reach the Service `kubernetes` because its address simply is in the control
# plane's namespace, so there is no kube-proxy. Names of Services are answered there too, by names.ts.
network_up() {
  local i j n a
  ip netns add "$CP"; ip -n "$CP" link set lo up; for a in 10.96.0.1 10.96.0.10; do ip -n "$CP" addr add $a/32 dev lo; done
  ip -n "$CP" link add lan type bridge; ip -n "$CP" addr add $CONTROL/24 dev lan; ip -n "$CP" link set lan up
  for ((i = 1; i <= count; i++)); do
    n=$(ns node$i); ip netns add "$n"; ip -n "$n" link set lo up
    ip -n "$CP" link add node$i type veth peer name eth0 netns "$n"; ip -n "$CP" link set node$i master lan up
    ip -n "$n" addr add $LAN.$i/24 dev eth0; ip -n "$n" link set eth0 up
    ip -n "$n" route add default via $CONTROL                # kubelet wants one; it leads to the control plane and no further
    ip -n "$CP" route add 10.244.$i.0/24 via $LAN.$i
    for ((j = 1; j <= count; j++)); do [ $j = $i ] || ip -n "$n" route add 10.244.$j.0/24 via $LAN.$j; done
    # not `ip netns exec`: it hides the cgroups. The bridge's own sysctl is there only where its module is loaded.
    nsenter --net="/run/netns/$n" -- sysctl -qw net.ipv4.ip_forward=1
    nsenter --net="/run/netns/$n" -- sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>/dev/null || true
  done
}
