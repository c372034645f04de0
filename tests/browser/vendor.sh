#!/bin/sh
# Puts uPlot and its licence into the package, as npm has it: the version is pinned, and so is what it must come to.
set -eu
VERSION=1.6.32
SUM=sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==

cd "$(dirname "$0")/../.."
target=$PWD/src/gatekeep/components/metrics/dashboard_assets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "uplot@$VERSION" >/dev/null)
found=sha512-$(openssl dgst -sha512 -binary "$work/uplot-$VERSION.tgz" | openssl base64 -A)
[ "$found" = "$SUM" ] || { echo "uplot $VERSION is not what it was: $found" >&2; exit 1; }
tar -xzf "$work/uplot-$VERSION.tgz" -C "$work"
cp "$work/package/dist/uPlot.iife.min.js" "$work/package/dist/uPlot.min.css" "$target/"
cp "$work/package/LICENSE" "$target/uPlot.LICENSE"
