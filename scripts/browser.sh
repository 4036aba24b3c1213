#!/bin/sh
# Brings a Chromium for the tests of the dashboard: `sh scripts/browser.sh`.
#
# Does nothing where there is one. On Debian and its kin it installs the system's package when root, else it prints the
# command. Without a browser those tests are skipped with their reason, so this never fails.
set -u

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ -n "${SUREFOOT_CHROMIUM:-}" ] || ! command -v apt-get >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" -ne 0 ]; then
    echo "surefoot: without a browser the tests of the dashboard are skipped: sudo apt-get install -y chromium" >&2
    exit 0
fi
echo "surefoot: installing chromium, in which the dashboard is tested" >&2
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
    >/dev/null 2>&1 || echo "surefoot: that did not work; the tests of the dashboard are skipped" >&2
exit 0
