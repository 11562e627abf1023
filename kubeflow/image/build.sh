#!/bin/sh
# Builds the image with podman, buildah or docker, whichever is there: build.sh TAG [OPTION OF THE BUILDER]...
set -eu
cd "$(dirname "$0")/../.."
tag=$1
shift
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision=$revision-modified

for builder in podman buildah docker ""; do
    [ -n "$builder" ] || { echo "no podman, buildah or docker on the PATH: install one of them" >&2; exit 1; }
    if command -v "$builder" >/dev/null; then break; fi
done
# Docker's format keeps the health check.
format=; [ "$builder" = docker ] || format=--format=docker
exec "$builder" build $format --file kubeflow/image/Dockerfile --tag "$tag" \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" "$@" .
