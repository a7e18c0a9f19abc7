#!/bin/sh
# Make sure that the programs and libraries of one or more sets are on this machine.
#
#   tools/install_packages.sh SET...      sets: run, test (tools/packages.txt)
#
# Installs what is missing with apt-get, as root. Elsewhere it only names the packages.
# Quiet when everything is there. All messages go to stderr.
set -eu

table=$(dirname "$0")/packages.txt
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
system_python=/usr/bin/python3
[ -x "$system_python" ] || system_python=python3

say() { printf '%s\n' "memtrace: $*" >&2; }

present() { # CHECK -> exit code
    what=${1#*:}
    case $1 in
    cmd:*) command -v "$what" || ls /usr/bin/"$what"-[0-9]* ;;
    file:*) [ -e "$what" ] ;;
    dir:*) [ -n "$(ls -A "$what")" ] ;;
    py:*) "$system_python" -c "import importlib.util, sys; sys.exit(not importlib.util.find_spec('$what'))" ;;
    lib:*) find /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib -maxdepth 2 -name "$what*" 2>/dev/null | grep -q . ;;
    *) say "unknown check $1 in $table"; exit 2 ;;
    esac >/dev/null 2>&1
}

missing() { # COLUMN SET... -> "package check" lines of what is not there
    column=$1
    shift
    for set in "$@"; do
        awk -v set="$set" -v column="$column" '$1 == set { print $column, $2 }' "$table"
    done | while read -r package check; do
        present "$check" || printf '%s %s\n' "$package" "$check"
    done
}

packages_of() { printf '%s\n' "$1" | awk '$1 != "-" && !seen[$1]++ { printf "%s%s", sep, $1; sep = " " }'; }

family() { # the package families to name: this system's, or all of them
    case " $(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-}" "${ID_LIKE:-}") " in
    *fedora* | *rhel*) echo fedora ;;
    *arch*) echo arch ;;
    *suse*) echo suse ;;
    *alpine*) echo alpine ;;
    *) echo fedora arch suse alpine ;;
    esac
}

name_for_other_distributions() { # SET... -> names what is missing; exit 1
    say "there is no apt-get here; please install what is missing:"
    for name in $(family); do
        case $name in
        fedora) column=4 command="dnf install" ;;
        arch) column=5 command="pacman -S --needed" ;;
        suse) column=6 command="zypper install" ;;
        alpine) column=7 command="apk add" ;;
        esac
        say "  $name: $command $(packages_of "$(missing "$column" "$@")")"
    done
    exit 1
}

absent=$(missing 3 "$@")
[ -n "$absent" ] || exit 0
command -v apt-get >/dev/null 2>&1 || name_for_other_distributions "$@"
packages=$(packages_of "$absent")
if [ "$(id -u)" -ne 0 ]; then
    say "these packages are missing and only root can install them: sudo apt-get install $packages"
    exit 1
fi
say "installing: $packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 $packages </dev/null >/dev/null
absent=$(missing 3 "$@")
[ -z "$absent" ] || { say "still missing after the installation: $absent"; exit 1; }
