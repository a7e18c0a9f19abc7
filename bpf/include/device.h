/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * device.h: the device that stat(2) shows of a file in a subvolume, which its
 * superblock does not know.
 */
#ifndef MEMTRACE_DEVICE_H
#define MEMTRACE_DEVICE_H

#include "kernel.h"

#define BTRFS_SUPER_MAGIC 0x9123683E

/*
 * btrfs numbers inodes per subvolume, and gives each a device (btrfs_root.anon_dev).
 * Its types may be a module's, for which CO-RE wants CAP_SYS_ADMIN: the agent reads
 * the offsets. From an inode back to btrfs_inode.root, and of anon_dev; 0: unknown.
 */
CONFIG_U32(btrfs_root);
CONFIG_U32(btrfs_device);

/* 0 for an inode whose device is its superblock's. */
MT_INLINE __u32 subvolume_device(struct inode *inode, __u64 magic)
{
	__u32 device = 0;
	__u64 root = 0;

	if (magic == BTRFS_SUPER_MAGIC && CFG(btrfs_device)) {
		bpf_probe_read_kernel(&root, sizeof(root), (char *)inode - CFG(btrfs_root));
		bpf_probe_read_kernel(&device, sizeof(device), (char *)root + CFG(btrfs_device));
	}
	return device;
}

#endif
