#!/bin/sh
# write-sbom.sh PYTHON FOLDER: what an environment holds, as CycloneDX, and the texts of all licences in one file.
# UV names the program uv, if it is not on the PATH.
set -eu
python=$(realpath --no-symlinks "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/../.."

tool() {
    # Its own environment, from the lock: the tools are no part of what they list.
    "${UV:-uv}" run --quiet --isolated --frozen --no-default-groups --only-group sbom "$@"
}

tool cyclonedx-py environment "$python" --pyproject pyproject.toml --output-file "$folder/sbom.cdx.json"
tool pip-licenses --python "$python" --with-urls --with-license-file --no-license-path --format plain-vertical \
    --output-file "$folder/third-party-licences.txt" >/dev/null
echo "written $folder/sbom.cdx.json"
echo "written $folder/third-party-licences.txt"
