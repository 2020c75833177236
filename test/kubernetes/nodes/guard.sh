#!/usr/bin/env bash
# guard.sh DIR PID OWNER: waits for the end of the process that started the cluster, and then ends the cluster, where it
# is that process's still. So nothing stays behind also after a SIGKILL.
tail --pid="$2" -f /dev/null
exec "$(dirname "$0")/down.sh" "$1" "$3"
