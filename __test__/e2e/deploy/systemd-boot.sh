#!/bin/sh
# The first process of namespaces of its own becomes systemd, which knows one unit: the one under test. Everything that it
# could change lies in memory: /etc is a copy, /opt, /run and /var/lib are empty.
#
#   unshare --mount --pid --fork --cgroup --uts --ipc --net --kill-child sh systemd-boot.sh UNITS PROGRAM NODE ENVIRONMENT
set -e
units=$1 program=$2 node=$3 environment=$4

mount -t proc proc /proc
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
cp -a /etc /run/etc
mount --bind /run/etc /etc
mount -t tmpfs -o mode=0755 tmpfs /opt
mount -t tmpfs -o mode=0755 tmpfs /var/lib
echo 00000000000000000000000000000007 > /etc/machine-id

# As docs/guides/deploy.md says, with the program from here.
mkdir -p /opt/sluicegate/node_modules /run/units /etc/sluicegate
cp -r "$program" /opt/sluicegate/node_modules/sluicegate
systemd-sysusers "$units/sysusers.conf"
cp "$environment" /etc/sluicegate/environment
echo '{"tokens":[{"token":"t0k"}]}' > /etc/sluicegate/tokens.json
chown sluicegate /etc/sluicegate/tokens.json
chmod 0600 /etc/sluicegate/tokens.json
cp "$node" /opt/node
for unit in sluicegate.service sluicegate@.service; do
  sed "s#/usr/bin/node#/opt/node#" "$units/$unit" > "/run/units/$unit"
done

# What every unit is ordered by, with nothing in it.
for target in sysinit basic shutdown; do
  printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "/run/units/$target.target"
done
printf '[Unit]\nDescription=test\nWants=sluicegate@0.service sluicegate@1.service\n' > /run/units/test.target

export SYSTEMD_UNIT_PATH=/run/units container=unshare
exec /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
