#!/bin/bash
# build.sh OUT.qcow2 CACHE: builds the guest image from the distribution's kernel and busybox.
# A disk with an MBR, one ext4 partition and extlinux; the whole system is the initramfs (see init), so the
# partition holds nothing but the kernel, a marker and what the tests put there.
set -euo pipefail
out=$1 cache=$2
here=$(cd "$(dirname "$0")" && pwd)
megabytes=64
work=$(mktemp -d)
trap 'umount "$work/mnt" 2>/dev/null || true; rm -rf "$work"' EXIT

# --- the kernel's packages: a small kernel for virtual machines, under the name that the distribution gives it
for meta in linux-image-cloud-amd64 linux-image-virtual linux-image-amd64; do
  packages=$(apt-cache depends "$meta" 2>/dev/null | awk '$1=="Depends:" && $2 ~ /^linux-(image|modules)/ {print $2}')
  [ -z "$packages" ] || break
done
[ -n "$packages" ] || { echo "no kernel package found: run apt-get update"; exit 1; }
for package in $packages; do   # (where modules are in a package of their own, the image depends on it)
  packages+=" $(apt-cache depends "$package" 2>/dev/null | awk '$1=="Depends:" && $2 ~ /^linux-modules-[0-9]/ {print $2}')"
done
mkdir -p "$cache" "$work/kernel"
for package in $packages; do
  file=$(ls "$cache/${package}"_*.deb 2>/dev/null | head -1 || true)
  if [ -z "$file" ]; then
    (cd "$cache" && apt-get download -q "$package")
    file=$(ls "$cache/${package}"_*.deb | head -1)
  fi
  dpkg-deb --fsys-tarfile "$file" | tar -x -C "$work/kernel"
done

# --- the initramfs. The order of the modules matters: virtio_ring comes before virtio.
modules="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio-rng failover
  net_failover virtio_net virtio_blk button evdev scsi_common scsi_mod libata ata_piix cdrom sr_mod isofs
  fat vfat nls_ascii nls_cp437"
mkdir -p "$work/root/"{bin,mod,dev,proc,sys,tmp}
for module in $modules; do   # one that is built into the kernel has no file
  file=$(find "$work/kernel" -name "$module.ko*" | head -1)
  case $file in
    *.ko) cp "$file" "$work/root/mod/" ;;
    *.ko.xz) xz -dc "$file" > "$work/root/mod/$module.ko" ;;
    *.ko.zst) zstd -qdc "$file" > "$work/root/mod/$module.ko" ;;
  esac
done
echo $modules > "$work/root/modules.list"
cp "$(command -v busybox)" "$work/root/bin/busybox"
install -m 755 "$here/init" "$here/udhcpc.script" "$work/root/"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initrd"

# --- the disk: boot code, a partition table written by hand (one active Linux partition from sector 2048)
disk=$work/disk
truncate -s ${megabytes}M "$disk"
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$disk" conv=notrunc bs=440 count=1 status=none
number() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $((($1 >> 8) & 255)) $((($1 >> 16) & 255)) $((($1 >> 24) & 255)); }
printf "\x80\xfe\xff\xff\x83\xfe\xff\xff$(number 2048)$(number $(((megabytes - 1) * 2048)))" |
  dd of="$disk" conv=notrunc bs=1 seek=446 status=none
printf '\x55\xaa' | dd of="$disk" conv=notrunc bs=1 seek=510 status=none
mkfs.ext4 -q -F -O '^has_journal,^64bit,^metadata_csum' -L guestroot -E offset=1048576 "$disk" $(((megabytes - 1) * 1024))k
mkdir "$work/mnt"
mount -o loop,offset=1048576 "$disk" "$work/mnt"
mkdir -p "$work/mnt/boot" "$work/mnt/data"
cp "$(ls "$work/kernel/boot/"vmlinuz* | head -1)" "$work/mnt/boot/vmlinuz"
cp "$work/initrd" "$work/mnt/boot/initrd"
echo "devcloud-guest" > "$work/mnt/marker"
cat > "$work/mnt/boot/extlinux.conf" <<END
DEFAULT guest
PROMPT 0
TIMEOUT 0
LABEL guest
 LINUX vmlinuz
 INITRD initrd
 APPEND console=ttyS0 quiet mitigations=off random.trust_cpu=on panic=5 no_timer_check
END
extlinux --install "$work/mnt/boot"
umount "$work/mnt"
qemu-img convert -f raw -O qcow2 "$disk" "$out"
