#!/usr/bin/env bash
# Builds the image where there is no registry and no daemon: a base from Debian's packages by debootstrap, then the
# Containerfile by buildah in a chroot. Needs root, buildah, debootstrap and Node. From the top folder:
#
#   deploy/container/build.sh [image name]        BUILD_ARGS="--volume /etc/pip.conf:/etc/pip.conf:ro" for a private index
#
# Then it starts the image's own health check against a daemon inside, to see that both work.
set -euo pipefail

image=${1:-localhost/headgate}
suite=${SUITE:-bookworm}
work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$work/root" ${MIRROR:-} >/dev/null
base=$(buildah from scratch)
buildah copy --quiet "$base" "$work/root" /
buildah commit --quiet "$base" localhost/headgate-base
# Node as it is installed here: the console's page is built with it, nothing of it is in the image.
buildah copy --quiet "$base" "$(command -v node)" /usr/bin/node
buildah copy --quiet "$base" "$(npm root -g)" /usr/lib/node_modules
buildah run "$base" -- ln -sf /usr/lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm
buildah commit --quiet "$base" localhost/headgate-node
buildah rm "$base" >/dev/null

# shellcheck disable=SC2086
buildah bud --quiet --format docker --ignorefile deploy/Containerfile.dockerignore -f deploy/Containerfile \
  --build-arg BASE=localhost/headgate-base --build-arg NODE=localhost/headgate-node ${BUILD_ARGS:-} -t "$image" .

trial=$(buildah from "$image")
trap 'buildah rm "$trial" >/dev/null; rm -rf "$work"' EXIT
echo "user: $(buildah run "$trial" -- id -un)"
buildah run "$trial" -- headgate --version
buildah run "$trial" -- sh -c '
  headgate serve --config /etc/headgate/config.toml >/tmp/log 2>&1 & daemon=$!
  for _ in $(seq 60); do headgate-ready 2>/dev/null && break; sleep 1; done
  headgate-ready && headgate ops health-check --config /etc/headgate/config.toml
  code=$?; kill $daemon; wait $daemon || true; exit $code'
echo "$image works"
