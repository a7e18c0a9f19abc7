"""What the kernel's slab caches hold, in plain words. Knows names, not amounts."""

from __future__ import annotations

_MEANINGS = {
    "dentry": "names of files, missing ones too",
    "inode_cache": "files on no disk: pipes, cgroups",
    "proc_inode_cache": "files of /proc",
    "shmem_inode_cache": "files of tmpfs and shared memory",
    "sock_inode_cache": "sockets",
    "fuse_inode": "files of user-space file systems",
    "overlayfs_inode": "files of container overlays",
    "ovl_inode": "files of container overlays",
    "mnt_cache": "mounts",
    "buffer_head": "where cached pages are on disk",
    "radix_tree_node": "the page cache's own index",
    "xarray_node": "the page cache's own index",
    "extent_status": "where ext4 files are on disk",
    "ext4_extent_status": "where ext4 files are on disk",
    "jbd2_journal_head": "blocks in the journal of ext4",
    "kernfs_node_cache": "files of sysfs and cgroups",
    "lsm_inode_cache": "security labels of files",
    "filp": "open files",
    "names_cache": "paths being looked up",
    "task_struct": "threads",
    "thread_stack": "kernel stacks of threads",
    "signal_cache": "processes: signals",
    "sighand_cache": "processes: signal handlers",
    "files_cache": "processes: tables of open files",
    "fs_cache": "processes: working directories",
    "mm_struct": "processes: address spaces",
    "pid": "process ids",
    "cred": "credentials of processes",
    "cred_jar": "credentials of processes",
    "vm_area_struct": "mapped areas of address spaces",
    "vma_lock": "mapped areas of address spaces",
    "maple_node": "index of mapped areas",
    "anon_vma": "mapped areas: who shares a page",
    "anon_vma_chain": "mapped areas: who shares a page",
    "eventpoll_epi": "files watched by epoll",
    "eventpoll_pwq": "files watched by epoll",
    "inotify_inode_mark": "files watched by inotify",
    "fsnotify_mark": "files watched by inotify and fanotify",
    "nf_conntrack": "connections the firewall tracks",
    "skbuff_head_cache": "network packets",
    "skbuff_fclone_cache": "network packets",
    "TCP": "TCP connections",
    "TCPv6": "TCP connections",
    "UDP": "UDP sockets",
    "UDPv6": "UDP sockets",
    "UNIX": "local sockets",
    "bio_integrity": "block I/O under way",
    "large kmalloc": "single large allocations",
}
_BEGINNINGS = (
    ("kmalloc-cg-", "kernel data made on request"),
    ("kmalloc-rcl-", "long names of files"),
    ("kmalloc-", "kernel data of any kind"),
    ("biovec", "block I/O under way"),
    ("bio", "block I/O under way"),
    ("request_sock", "TCP connections being made"),
    ("tw_sock", "closed TCP connections"),
    ("dm_", "device mapper"),
    ("btrfs_", "btrfs"),
    ("ext4_", "ext4"),
    ("xfs_", "xfs"),
    ("nfs_", "NFS"),
)
_INODES = ("_inode_cache", "_inode", "_ili")


def meaning(cache: str) -> str:
    """Return what a cache holds; empty for one that is not known."""
    known = _MEANINGS.get(cache)
    if known is not None:
        return known
    if cache.endswith(_INODES):
        return f"files of {cache.partition('_')[0]}, one for each seen"
    return next((text for start, text in _BEGINNINGS if cache.startswith(start)), "")
