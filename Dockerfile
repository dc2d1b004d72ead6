# The image of Parley: compiled in one stage, run in another by a user without rights, from a file system that may be
# read-only. What is kept in files (SQLite) belongs into a volume at /var/lib/parley/data. See docs/deploying.md.

FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without scripts: the development's own Node, which one of them fetches, is not needed here.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && chmod a+x dist/cli/main.js
# What sends traces is an optional peer of the package: the image has it, in the versions of the lock file. What
# packages have in TypeScript, and their source maps, are of no use to a server.
RUN node -e "const p = JSON.parse(fs.readFileSync('package.json')); for (const n in p.peerDependencies) { p.dependencies[n] = p.devDependencies[n]; delete p.devDependencies[n] } fs.writeFileSync('package.json', JSON.stringify(p))" \
  && npm prune --omit=dev --ignore-scripts \
  && find node_modules -type f '(' -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' ')' -delete
# The compiled code of a first start, for all that follow. It is kept by user, and read from a read-only disk as well.
RUN mkdir -m 777 compile-cache
USER 10001:10001
RUN NODE_COMPILE_CACHE=/app/compile-cache node dist/cli/main.js --version

FROM node:24-trixie-slim
LABEL org.opencontainers.image.title="Parley" \
  org.opencontainers.image.description="A self-hosted server that holds conversations with language models" \
  org.opencontainers.image.licenses="Apache-2.0"
# `data/` is the only place that the server writes to; a new volume takes over whose it is.
RUN mkdir -p /var/lib/parley/data && chown 10001:10001 /var/lib/parley/data \
  && ln -s /app/dist/cli/main.js /usr/local/bin/parley
WORKDIR /app
COPY LICENSE ./
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/compile-cache ./compile-cache
# Beyond loopback, as a container is reached from outside itself: without a key it refuses to start all the same.
ENV HOST=0.0.0.0 \
  NODE_COMPILE_CACHE=/app/compile-cache
# Settings with relative paths, a .env and what APP_CONFIG_FILE names are looked for here.
WORKDIR /var/lib/parley
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether it lives, not whether it is ready: a container is not better for a restart when a provider fails.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "require('http').get({ port: process.env.PORT || 8000, path: '/health' }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
ENTRYPOINT ["parley"]
CMD ["serve"]
