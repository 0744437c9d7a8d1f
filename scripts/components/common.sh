# Sourced by the scripts beside it.
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/samovar"
engine_pid=/run/samovar-dockerd.pid # written only for an engine these scripts have started
engine_log=/var/log/samovar-dockerd.log
base_image=samovar-base:bookworm

say() { echo "components: $*"; }

fail() {
    echo "components: $*" >&2
    exit 1
}

# need_root WHAT: everything below this line changes the machine.
need_root() {
    [ "$(id -u)" -eq 0 ] || fail "$1 needs root. Run 'sudo scripts/ensure-components', or do it yourself and run again."
}

# install PACKAGE...: from Debian, without questions. The lists are fetched only when a package is not known yet.
install() {
    need_root "installing the packages $*"
    command -v apt-get >/dev/null || fail "no apt-get here: install $* with this system's package manager and run again"
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null 2>&1 && return
    apt-get update -qq </dev/null || say "apt-get update reported errors; trying with what it has"
    apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null
}

engine_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
