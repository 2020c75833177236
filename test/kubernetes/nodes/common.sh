# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: names and addresses of one cluster, how its processes start and end, certificates.
# PROGRAMS: the directory with every program of the cluster. NODE: the Node of the tests. DIR: all that the cluster writes.
set -euo pipefail
die() { echo "$*" >&2; exit 1; }

# All names come from the directory: several clusters run side by side, and whoever finds one left behind can end it.
# v1 hierarchies, and the v2 one, in which runc also makes a group
CONTROLLERS="cpu cpuacct cpuset memory pids blkio devices freezer systemd unified"
LAN=10.200.0 CONTROL=10.200.0.254
cluster_dir() {
  DIR=$1; mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd)
  case $DIR in /run/*|/var/lib/*|/var/log/*) die "$DIR: nodes hide /run, /var/lib and /var/log behind file systems of their own; choose another directory";; esac
  # 108 characters are all that a unix socket's path may have
  [ ${#DIR} -lt 70 ] || die "$DIR: too long for the sockets below it; choose a shorter directory"
  ID=l2c$(cksum <<<"$DIR" | cut -d' ' -f1); CP=$ID-cp
}
ns() { echo "$ID-$1"; }                              # node1: its network namespace, and its cgroup
in_control() { nsenter --net="/run/netns/$CP" -- "$@"; }
nodes() { local f; for f in /run/netns/"$ID"-node*; do [ ! -e "$f" ] || echo "${f##*-}"; done; }

# A pid and the time of its birth name one process for good, a pid alone does not. A zombie has neither any more.
birth() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; s=${s##*) }; set -- $s; [ "$1" != Z ] && echo "${20}"; }
# start NAME COMMAND...: in the background, its log in DIR/NAME.log. The command line is kept, for `again`.
# setsid, nsenter and unshare replace themselves: $! is the pid of the program itself.
start() { local n=$1; shift; printf '%s\0' "$@" >"$DIR/$n.cmd"; run_it "$n" "$@"; }
run_it() { local n=$1; shift; setsid "$@" >>"$DIR/$n.log" 2>&1 </dev/null & echo "$! $(birth $!)" >"$DIR/$n.pid"; }
again() { local c; mapfile -d '' c <"$DIR/$1.cmd"; run_it "$1" "${c[@]}"; }
# one that ended before its birth was read has none
alive() { local p b; { read -r p b <"$DIR/$1.pid"; } 2>/dev/null && [ -n "$b" ] && [ "$(birth "$p")" = "$b" ]; }
pid() { local p b; read -r p b <"$DIR/$1.pid"; echo "$p"; }
# stop NAME [SECONDS]: TERM, and KILL after so long (0: at once); never another process that got its number. It may end
# between a look and a signal. Fails where it is there after a minute still: it waits for a disk, or for its tracer.
stop() {
  local n=$1 i p; [ -f "$DIR/$n.pid" ] || return 0
  p=$(pid "$n")
  if alive "$n"; then
    [ "${2:-10}" = 0 ] || kill "$p" 2>/dev/null || true
    [ "${2:-10}" = 0 ] || kill -CONT "$p" 2>/dev/null || true
    for ((i = 0; i < ${2:-10} * 20; i++)); do alive "$n" || break; sleep 0.05; done
    ! alive "$n" || kill -KILL "$p" 2>/dev/null || true
    for ((i = 0; i < 1200; i++)); do alive "$n" || break; sleep 0.05; done
    ! alive "$n" || { echo "$n ($p) does not end" >&2; return 1; }
  fi
  rm -f "$DIR/$n.pid"
}
# wait_for SECONDS NAME COMMAND...: until the command succeeds; fails at once, with its log, when the process NAME ends
wait_for() {
  local i max=$(($1 * 10)) n=$2; shift 2
  for ((i = 0; i < max; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    [ -z "$n" ] || alive "$n" || { tail -5 "$DIR/$n.log" >&2; die "$n ended"; }
    sleep 0.1
  done
  [ -z "$n" ] || tail -5 "$DIR/$n.log" >&2
  die "not within $((max / 10)) s: $*"
}
rss() { awk '/VmRSS/ {printf "%d MiB", $2/1024}' "/proc/$(pid "$1")/status"; }

# certificates: one authority, a certificate for the server, and one for each client
authority() {
  mkdir -p "$DIR/pki"; cd "$DIR/pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=cluster-ca -keyout ca.key -out ca.crt 2>/dev/null
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key 2>/dev/null; openssl pkey -in sa.key -pubout -out sa.pub
  cd "$OLDPWD"
}
cert() { # cert NAME SUBJECT [ALTERNATIVE NAMES]
  local p=$DIR/pki/$1
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$p.key" -out "$p.csr" 2>/dev/null
  openssl x509 -req -in "$p.csr" -CA "$DIR/pki/ca.crt" -CAkey "$DIR/pki/ca.key" -CAcreateserial -days 30 -out "$p.crt" \
    -extfile <(echo "extendedKeyUsage=${3:+serverAuth,}clientAuth"; echo "${3:+subjectAltName=$3}") 2>/dev/null
}
kubeconfig() { # kubeconfig NAME SUBJECT: DIR/NAME.kubeconfig, with a certificate of its own
  local p=$DIR/pki/$1 f=$DIR/$1.kubeconfig; cert "$1" "$2"
  b() { base64 -w0 <"$1"; }
  cat >"$f" <<Y
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: $1}}]
clusters: [{name: c, cluster: {server: "https://$CONTROL:443", certificate-authority-data: $(b "$DIR/pki/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(b "$p.crt"), client-key-data: $(b "$p.key")}}]
Y
  chmod 600 "$f"
}
