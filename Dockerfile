# varray in one container. Two stages: the first builds, the second runs and has neither compiler nor sources' tools.
#
# Runs unprivileged, with a read-only root: everything that is written is in /data.

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# The lock file decides every version; native parts (LevelDB, CRC32C) come as prebuilt binaries.
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
COPY directors directors
COPY drivers drivers
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:20.20.2-bookworm-slim
# Both must be known before Node starts. LevelDB's calls fill libuv's pool, and four threads are too few; glibc's arena for
# each of 30 threads keeps some 50 MiB that nobody uses.
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=16 \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=262144 \
    VARRAY_DATA=/data
WORKDIR /opt/varray
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY --from=build /build/scripts scripts
# A named volume takes over the owner of the folder that it is mounted on.
RUN mkdir /data && chown node:node /data && ln -s /opt/varray/scripts/varray.mjs /usr/local/bin/varray
USER node
VOLUME /data
EXPOSE 3260 3261 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["node", "/opt/varray/scripts/healthcheck.mjs"]
# Node is process 1: main handles SIGTERM and SIGINT, and it starts no other processes that would need reaping.
ENTRYPOINT ["node", "--max-semi-space-size=1", "/opt/varray/dist/directors/main.js"]
