# The one image of capture, operator and command line. There is no shell in it and no package manager: Node, the
# libraries that Node loads, and the bundle.
#
#   docker build --build-arg REVISION=$(git rev-parse HEAD) -t l2cap .
#
# The entry point is the capture. The operator is `node /app/operator.js`, the command line `node /app/cli.js`.
#
# Packages come from the lock file alone. The same base image, packages and sources give the same bytes of every file:
# test/kubernetes/image.test.ts builds it twice. With one time for all files the layers have the same digests, too: the
# test has buildah set it, and BuildKit does it by
#
#   docker buildx build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
#     --output type=docker,rewrite-timestamp=true -t l2cap .

FROM node:24-bookworm-slim AS build
WORKDIR /src
# a change of the sources does not fetch the packages again
COPY package.json package-lock.json .npmrc ./
# scripts of packages are not run: none of those that the bundle needs has one, and `node` would fetch a second Node
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && rm -rf /root/.npm
COPY . .
RUN node bundle.ts /app > /bundle.txt && cat /bundle.txt && cp LICENSE /app/LICENSE

# What is loaded: Node, and the libraries of Node and of the native package, where the loader looks for them, with
# their licences and, as scanners look for it, what dpkg knows of the packages they are from. That nothing is missing
# is tried at once.
RUN set -eu; \
    mkdir -p /image/etc /image/var/lib/dpkg/status.d /image/usr/local/bin /image/usr/share/doc /image/tmp /image/spool; \
    cp "$(command -v node)" /image/usr/local/bin/node; \
    mkdir -p /image/usr/share/doc/node; cp /usr/local/LICENSE /image/usr/share/doc/node/copyright; \
    for file in $(ldd "$(command -v node)" /app/node_modules/@node-rs/*/*.node | grep -o '/lib[^ ]*' | sort -u); do \
      mkdir -p "/image$(dirname "$file")"; cp -L "$file" "/image$file"; \
    done; \
    for name in libc6 libgcc-s1 libstdc++6; do \
      dpkg -s "$name" > "/image/var/lib/dpkg/status.d/$name"; \
      mkdir -p "/image/usr/share/doc/$name"; cp -L "/usr/share/doc/$name/copyright" "/image/usr/share/doc/$name/"; \
    done; \
    cp -L /etc/os-release /image/etc/os-release; \
    echo 'hosts: files dns' > /image/etc/nsswitch.conf; \
    echo 'l2cap:x:1000:1000::/tmp:/nonexistent' > /image/etc/passwd; \
    echo 'l2cap:x:1000:' > /image/etc/group; \
    chroot /image /usr/local/bin/node --version; \
    mkdir /image/app; cp -r /app/node_modules /image/app/; \
    chroot /image /usr/local/bin/node -e "require('/app/node_modules/@node-rs/crc32').crc32c('')"; \
    rm -r /image/app; \
    chmod 1777 /image/tmp; chown 1000:1000 /image/spool

# The root of a pod is read-only: what its first start would compile and keep is compiled here, by the same user, at
# the same place. The directory's name holds the user and the version of Node; where they differ nothing is taken.
RUN mkdir /app/compiled && chown 1000:1000 /app/compiled
USER 1000:1000
# the programs as far as they come, then every part that one of them loads late; part-main is the capture itself.
# --predictable: no thread of V8 decides what is in it, and it is taken by a Node without that option all the same
RUN set -eu; export NODE_COMPILE_CACHE=/app/compiled; \
    node --predictable /app/cli.js --version; \
    node --predictable /app/operator.js --help > /dev/null; \
    code=0; node --predictable /app/capture.js 2> /dev/null || code=$?; [ "$code" = 2 ]; \
    node --predictable --input-type=module -e "import { readdirSync } from 'node:fs'; \
      const parts = readdirSync('/app').filter((file) => file.startsWith('part-') && !file.startsWith('part-main-')); \
      for (const file of parts.sort()) await import('/app/' + file)"

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="l2cap" \
      org.opencontainers.image.description="Order book capture for Kubernetes that only records what it can prove." \
      org.opencontainers.image.source="https://github.com/l2cap/l2cap" \
      org.opencontainers.image.documentation="https://github.com/l2cap/l2cap#readme" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/node:24-bookworm-slim"
COPY --from=build /image /
COPY --from=build /app /app
# PATH: a pod's `command` may say `node`. MALLOC_*: the allocator gives back what the Parquet encoder frees. A capture
# with windows of 20 s was seen at 165 MB in the median and 202 at most, and without these at 214 and 245
ENV PATH=/usr/local/bin \
    NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/compiled \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072
WORKDIR /app
USER 1000:1000
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/capture.js"]
