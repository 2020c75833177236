# shellcheck shell=bash
# Sourced by up.sh: etcd, API server, controllers, scheduler and names, all in the control plane's network namespace.
control_up() {
  cert server /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:$CONTROL"
  kubeconfig admin /O=system:masters/CN=admin
  kubeconfig controllers /CN=system:kube-controller-manager
  kubeconfig scheduler /CN=system:kube-scheduler
  # the data of a test need not survive a power cut, and waiting for the disk is what makes etcd slow
  start etcd nsenter --net="/run/netns/$CP" -- "$PROGRAMS/etcd" --name e --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster e=http://127.0.0.1:2380
  start apiserver nsenter --net="/run/netns/$CP" -- "$PROGRAMS/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address=0.0.0.0 --advertise-address=$CONTROL --secure-port=443 \
    --tls-cert-file="$DIR/pki/server.crt" --tls-private-key-file="$DIR/pki/server.key" --client-ca-file="$DIR/pki/ca.crt" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --profiling=false \
    --service-cluster-ip-range=10.96.0.0/16 --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$DIR/pki/sa.pub" --service-account-signing-key-file="$DIR/pki/sa.key" \
    --kubelet-client-certificate="$DIR/pki/admin.crt" --kubelet-client-key="$DIR/pki/admin.key" --kubelet-preferred-address-types=InternalIP \
    --default-not-ready-toleration-seconds=5 --default-unreachable-toleration-seconds=5
  export KUBECONFIG=$DIR/admin.kubeconfig
  wait_for 180 apiserver in_control "$PROGRAMS/kubectl" get --raw=/readyz
  # its ordinary 20 requests a second make its start take seconds longer; a lost node is noticed in 25 s, not in 50
  # (not at once: a machine that stands still for 10 s must not lose one), and a second one need not wait for the first
  # (not 1: whoever falls back to just that rate after all nodes were away, as at the start, taints none any more)
  start controllers nsenter --net="/run/netns/$CP" -- "$PROGRAMS/kube-controller-manager" --kubeconfig="$DIR/controllers.kubeconfig" --secure-port=0 \
    --leader-elect=false --use-service-account-credentials=true --root-ca-file="$DIR/pki/ca.crt" \
    --service-account-private-key-file="$DIR/pki/sa.key" --profiling=false --kube-api-qps=500 --kube-api-burst=1000 \
    --node-monitor-period=1s --node-monitor-grace-period=25s --node-eviction-rate=10 --terminated-pod-gc-threshold=50
  start scheduler nsenter --net="/run/netns/$CP" -- "$PROGRAMS/kube-scheduler" --kubeconfig="$DIR/scheduler.kubeconfig" --secure-port=0 --leader-elect=false
  start names nsenter --net="/run/netns/$CP" -- "$NODE" "$here/names.ts" "$DIR"
  # the last that a namespace gets from the controllers; no pod can be made without
  wait_for 180 controllers in_control "$PROGRAMS/kubectl" -n default get serviceaccount/default configmap/kube-root-ca.crt
  alive scheduler || die "the scheduler ended: $(tail -3 "$DIR/scheduler.log")"
  alive names || die "names ended: $(tail -3 "$DIR/names.log")"
  echo "control plane after $(ms) (etcd $(rss etcd), API server $(rss apiserver), controllers $(rss controllers), scheduler $(rss scheduler))"
}
