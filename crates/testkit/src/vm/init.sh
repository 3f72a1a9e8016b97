#!/bin/busybox sh
# The first process of a test's machine: puts this computer's files, read-only and with a layer in memory over them, in
# the place of its own, runs what it finds in /job, and switches the machine off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in virtio_pci virtio_rng 9pnet_virtio 9p overlay configfs crc32c_generic bridge veth nft_chain_nat nft_ct nft_masq; do modprobe $module; done
options=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o $options,ro,cache=loose root /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /new
mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t configfs configfs /new/sys/kernel/config
mount -t devtmpfs devtmpfs /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
mount -t tmpfs tmpfs /new/dev/shm
mount -t tmpfs tmpfs /new/run
mount -t tmpfs tmpfs /new/tmp
mkdir -p /new/lib/modules /new/run/nave-vm/bin /new/run/nave-vm/job
mount -o bind /lib/modules /new/lib/modules
cp /bin/busybox /new/run/nave-vm/bin/busybox
ln -s busybox /new/run/nave-vm/bin/modprobe
mount -t 9p -o $options job /new/run/nave-vm/job
ip link set lo up
chroot /new /bin/sh /run/nave-vm/job/run >/new/run/nave-vm/job/output 2>&1
echo $? >/new/run/nave-vm/job/status
sync
poweroff -f
