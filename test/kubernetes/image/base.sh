#!/usr/bin/env bash
# base.sh [DIR]: puts `node:24-bookworm-slim` into the store of DIR where no image registry can be reached.
# Debian from its packages, Node and npm from npm's, user `node` (1000): what the Dockerfile of l2cap needs of the
# official image, and no more. Needs root, buildah, mmdebstrap, npm.
. "$(dirname "$0")/common.sh"
use_store "${1:-}"
# not NODE: npm gives its scripts a variable of that name
node=24.21.0 npm=11.21.2
case $(uname -m) in x86_64) arch=x64 oci=amd64 ;; aarch64) arch=arm64 oci=arm64 ;; *) echo "no Node for $(uname -m)" >&2 && exit 1 ;; esac
# the versions decide whether it is there already
made() {
  [ "$(store inspect --type image --format '{{index .OCIv1.Config.Labels "base"}}' $BASE 2>/dev/null)" = "$node $npm" ]
}
! made || exit 0
hold exclusive
! made || exit 0 # by another run, meanwhile

packages=$DIR/packages
mkdir -p "$packages"
# the machine's own list of sources as mirror: none is named here. Without documentation and locales: 206 -> 135 MB
[ -s "$packages/debian.tar" ] || {
  patiently mmdebstrap --quiet --variant=minbase --mode=root --include=ca-certificates,libstdc++6 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*' \
    bookworm "$packages/making.tar" /etc/apt/sources.list.d/debian.sources
  mv "$packages/making.tar" "$packages/debian.tar"
}
# not the package `node`: that one only downloads this one while it is installed
cd "$packages"
rm -rf making && mkdir making # half a package would be taken for a whole one
for name in "node-linux-$arch@$node" "npm@$npm"; do
  file=${name/@/-}.tgz
  gzip --test "$file" 2>/dev/null || {
    patiently npm pack --loglevel error --pack-destination making "$name" >/dev/null
    mv "making/$file" "$file"
  }
done

container=$(store from scratch)
store add -q "$container" "$packages/debian.tar" / >/dev/null
root=$(store mount "$container")
mkdir -p "$root/usr/local/lib/node_modules/npm"
unpack() { tar -xzf "$packages/$1.tgz" -C "$2" --strip-components=1 --no-same-owner "${@:3}"; }
unpack "node-linux-$arch-$node" "$root/usr/local" package/bin/node package/LICENSE
unpack "npm-$npm" "$root/usr/local/lib/node_modules/npm"
chmod 755 "$root/usr/local/bin/node"
for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$root/usr/local/bin/$name"; done
chroot "$root" /bin/sh -c 'groupadd -g 1000 node; useradd -u 1000 -g node -s /bin/bash -m node'
store umount "$container" >/dev/null
store config --label base="$node $npm" --env NODE_VERSION="$node" \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd node --arch "$oci" --os linux "$container"
store commit -q --rm --timestamp 0 "$container" $BASE >/dev/null
