# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The machine on which the commands of docs/operations.md are run: bash, in mount, process and network namespaces of its
# own, on this machine with nothing under it that could be changed. Its programs are the real ones.
#
#   stage.sh CLONE PYTHON SIMULATED_DEVICES
#
# PYTHON is the interpreter that has all that focusd requires. Takes commands, each ended by a NUL, and ends what each
# prints with NUL, exit status, NUL. The functions below are for the stage directions of the document.
set -u
clone=$1
python=$2
simulated_devices=$3

# Writes to the system go into the memory, and vanish with the namespace
mount -t tmpfs stage /run || exit 1
memory=/run/memory
mkdir /run/home /run/tmp $memory
for directory in /etc /usr /opt "$clone"; do
    number=$((${number:-0} + 1))
    mkdir "$memory/$number" "$memory/$number.work"
    mount -t overlay -o "lowerdir=$directory,upperdir=$memory/$number,workdir=$memory/$number.work" stage "$directory" \
        || exit 1
done
mkdir "$memory/dev"
for name in null zero full random urandom tty; do
    touch "$memory/dev/$name"
    mount --bind "/dev/$name" "$memory/dev/$name"
done
for name in pts shm; do
    mkdir "$memory/dev/$name"
    mount --rbind "/dev/$name" "$memory/dev/$name"
done
ln -s pts/ptmx "$memory/dev/ptmx"
mount --rbind "$memory/dev" /dev

# The address of the daemon's entry is one of this machine, and of no network
ip link set lo up
ip address add 10.2.6.181/32 dev lo || exit 1

machine=$(cat /etc/machine-id 2>/dev/null)
if [[ ! $machine =~ ^[0-9a-f]{32}$ ]]; then
    machine=0123456789abcdef0123456789abcdef
    echo $machine >/etc/machine-id
fi
rm -rf /opt/focusd /etc/focusd /etc/observatory
mount -t tmpfs stage /var/log && mkdir -p "/var/log/journal/$machine" && cd /run/home || exit 1
export HOME=/run/home TMPDIR=/run/tmp LC_ALL=C.UTF-8 SYSTEMD_OFFLINE=1 SYSTEMD_PAGER= \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

sudo() { "$@"; }   # the person is root here

# The devices of an observatory machine with a hub
udevadm() { umockdev-run --device "$simulated_devices" -- udevadm "$@"; }

simulator() { "$python" -m warwick.observatory.focuslynx.simulator "$@"; }

wait_until() {
    local left=300
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || { echo "still failing: $*"; tail -n 5 /run/*.log; return 1; }
        sleep 0.05
    done
}

# A machine on which nothing of focusd is installed; its Python has the libraries that an index would give
bare() {
    local name site
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    mkdir /run/index
    for name in "$site"/*; do
        case ${name##*/} in
            __editable__* | focusd_* | warwick* | *.pth | pip | pip-* | __pycache__) ;;
            *) ln -s "$name" /run/index ;;
        esac
    done
    export PYTHONPATH=/run/index PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        PIP_ROOT_USER_ACTION=ignore
    PATH=$("$python" -c 'import sys; print(sys.base_prefix)')/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

# observatory [OPTIONS]: a machine on which everything is installed, with a hub that is connected
observatory() {
    PATH=${python%/*}:/usr/sbin:/usr/bin:/sbin:/bin
    ln -s "$clone/focus" "$clone/focusd" /usr/bin/
    install -D -m 644 -t /etc/focusd "$clone/config/clasp.json"
    install -D -m 644 -t /etc/systemd/system "$clone/focusd@.service"
    hub_on "$@" && boot clasp && focus init
}

# hub_on [OPTIONS]: the hub at the end of the cable, switched on
hub_on() {
    simulator --link /dev/focuser --control /run/hub.ctl --channels 1,2 --max-pos 112000 --speed 4000 "$@" \
        >/run/hub.log 2>&1 &
    hub=$!
    wait_until test -S /run/hub.ctl
}

# hub_off: the hub is taken away
hub_off() {
    kill "$hub"
    wait "$hub"
    rm -f /run/hub.ctl /dev/focuser
}

# hub COMMAND: something happens to the hub; it prints nothing
hub() {
    local answer
    answer=$(simulator control /run/hub.ctl "$@") || { echo "$answer"; return 1; }
}

# in_truth NAME VALUE: whether it is so, whatever the daemon believes
in_truth() { [ "$(simulator control /run/hub.ctl get "$1")" = "ok $2" ]; }

# reports KEY VALUE: what the daemon believes
reports() { focus json | grep -q -F -e "\"$1\": $2"; }

# boot NAME: the machine starts focusd@NAME as its unit says, and the daemon answers
boot() {
    local start
    start=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/focusd@.service)
    touch /run/focusd.log
    JOURNAL_STREAM=$(stat -c %d:%i /run/focusd.log) ${start//%i/$1} >>/run/focusd.log 2>&1 &
    daemon=$!
    wait_until focus status
}

# enabled NAME: whether the machine will start focusd@NAME
enabled() { systemctl is-enabled --quiet "focusd@$1"; }

# end: the daemon is asked to end, and ends
end() { kill "$daemon" && wait "$daemon"; }

# journal NAME: what focusd has written so far is in the journal, under its unit
journal() {
    local now=$EPOCHREALTIME line number=0 priority
    now=${now/./}
    while IFS= read -r line; do
        number=$((number + 1))
        priority=6
        if [[ $line =~ ^\<([0-7])\>(.*) ]]; then
            priority=${BASH_REMATCH[1]} line=${BASH_REMATCH[2]}
        fi
        printf '%s\n' "__REALTIME_TIMESTAMP=$((now + number))" "__MONOTONIC_TIMESTAMP=$number" \
            _BOOT_ID=0123456789abcdef0123456789abcdef "_SYSTEMD_UNIT=focusd@$1.service" _PID=77 _HOSTNAME=clasp \
            SYSLOG_IDENTIFIER=focusd "PRIORITY=$priority" "MESSAGE=$line" ''
    done </run/focusd.log >/run/journal.export
    rm -f "/var/log/journal/$machine/system.journal"
    /lib/systemd/systemd-journal-remote -o "/var/log/journal/$machine/system.journal" /run/journal.export 2>/dev/null
}

printf '\0ready\0'
while IFS= read -r -d '' command; do
    eval "$command" </dev/null 2>&1
    printf '\0%d\0' $?
done
