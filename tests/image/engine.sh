#!/bin/sh
# A container engine and stand-ins for the images, where neither is installed and no registry is reached (root, Debian's mirror, 6 GB):
#   tests/image/engine.sh start && eval "$(tests/image/engine.sh env)" && make image-try; tests/image/engine.sh stop
# Docker, Compose, Buildx of Debian forky in namespaces of their own: nothing is installed here, no rule, port or mount of this machine
# changes. The stand-ins bear the names docker-compose.yml asks for; they are Debian's packages, for trying only.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
house=$(cd "$here/../.." && pwd)
base=${DAOHU_IMAGE_TRY:-/var/tmp/daohu-image}
mirror=http://deb.debian.org/debian
docker="$base/engine/usr/bin/docker --host unix://$base/engine/var/lib/daohu.sock"

tools() {
    [ -x "$base/tool/usr/sbin/debootstrap" ] && return
    mkdir -p "$base/tool" && cd "$base/tool"
    apt-get download -q debootstrap slirp4netns libslirp0
    for package in *.deb; do dpkg -x "$package" .; done
}

root() { # name suite package…: a Debian of its own, in which nothing is started while it is installed
    name=$1 suite=$2
    shift 2
    [ -e "$base/$name.whole" ] && return
    rm -rf "${base:?}/$name"
    script=$([ "$suite" = bookworm ] && echo bookworm || echo sid)
    DEBOOTSTRAP_DIR="$base/tool/usr/share/debootstrap" sh "$base/tool/usr/sbin/debootstrap" --variant=minbase --include=ca-certificates \
        "$suite" "$base/$name" "$mirror" "$script" > "$base/$name.log"
    printf '#!/bin/sh\nexit 101\n' > "$base/$name/usr/sbin/policy-rc.d"
    chmod 755 "$base/$name/usr/sbin/policy-rc.d"
    # the date: forky's index outlives its own where the mirror is a snapshot
    unshare --mount sh -euc 'mount -t proc proc "$1/proc"; root=$1; shift; export DEBIAN_FRONTEND=noninteractive LC_ALL=C
        chroot "$root" apt-get -q -o Acquire::Check-Valid-Until=false update
        chroot "$root" apt-get -q install -y --no-install-recommends "$@"' sh "$base/$name" "$@" >> "$base/$name.log" 2>&1
    rm -f "$base/$name"/var/cache/apt/archives/*.deb
    touch "$base/$name.whole"
}

start() {
    tools
    root engine forky docker.io docker-cli docker-compose docker-buildx containerd runc iptables iproute2 procps
    root python bookworm netbase tzdata python3 python3-venv
    root postgres bookworm postgresql-15 gosu
    root kafka bookworm openjdk-17-jre-headless
    root nginx forky nginx curl
    unshare --mount --net --pid --ipc --uts --fork sh "$here/inside.sh" "$base/engine" "$house" &
    outer=$!
    until child=$(tr -d ' ' < "/proc/$outer/task/$outer/children") && [ -n "$child" ]; do sleep 0.1; done
    echo "$child" > "$base/pid"
    LD_LIBRARY_PATH="$base/tool/usr/lib/x86_64-linux-gnu" "$base/tool/usr/bin/slirp4netns" --configure "$child" tap0 > "$base/slirp.log" 2>&1 &
    echo $! > "$base/network"
    until $docker info > /dev/null 2>&1; do kill -0 "$child"; sleep 0.5; done
    images
}

images() {
    # whatever this machine trusts, or nothing could be fetched through its proxy
    cp /etc/ssl/certs/ca-certificates.crt "$base/python/etc/ssl/certs/"
    for name in python postgres kafka nginx; do
        tar -C "$base/$name" -c . | $docker import - "standin/$name" > /dev/null
    done
    standin python python:3.11-slim-bookworm
    standin postgres postgres:15
    standin nginx nginxinc/nginx-unprivileged:1.28
    version=$(ls "$house/.cache/kafka" | grep -v lock) # of tests/servers/kafka.py
    standin kafka "apache/kafka:$version" --build-context "libs=$house/.cache/kafka/$version" --build-context "deploy=$house/deploy/kafka"
}

standin() { # name tag option…
    name=$1 tag=$2
    shift 2
    DOCKER_CONFIG="$base/config" $docker build -q -t "$tag" -f "$here/standins/$name.Dockerfile" "$@" "$here/standins"
}

stop() {
    kill -9 "$(cat "$base/pid")" # the first process of its namespaces: all of them end
    kill "$(cat "$base/network")" || true
    rm "$base/pid" "$base/network"
    find /sys/fs/cgroup -depth -type d -path '*/docker*' -exec rmdir {} + 2> /dev/null || true
    echo "the rest: rm -r $base"
}

environment() {
    echo "export DOCKER_HOST=unix://$base/engine/var/lib/daohu.sock DOCKER_CONFIG=$base/config PATH=$base/config/bin:$PATH"
}

mkdir -p "$base/config/bin"
ln -sfn "$base/engine/usr/libexec/docker/cli-plugins" "$base/config/cli-plugins"
ln -sfn "$base/engine/usr/bin/docker" "$base/config/bin/docker"
case ${1:-} in
start) start ;;
env) environment ;;
stop) stop ;;
*) echo "engine.sh start|env|stop" >&2; exit 2 ;;
esac
