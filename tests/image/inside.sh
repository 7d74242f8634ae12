#!/bin/sh
# The first process of engine.sh's namespaces: it makes $1 the root, sees $2 at its own place, read-only, and becomes Docker.
set -eu
root=$1 house=$2
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root$house" "$root/before"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$house" "$root$house"
mount -o remount,bind,ro "$root$house"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cd "$root"
pivot_root . before
umount -l /before
ip link set lo up
until ip -4 addr show tap0 2> /dev/null | grep -q inet; do sleep 0.1; done
rm -f /var/lib/daohu.sock /var/run/docker.pid
exec dockerd --host unix:///var/lib/daohu.sock > /var/log/dockerd.log 2>&1
