// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memtrace: libbpf-only (bpf_loop callbacks)
/*
 * baseline.bpf.c: what the page cache held before we came. Walks, without a lock,
 * one superblock a run: every inode on its list, every page of the inode's own
 * mapping, grouped by the memory cgroup it is charged to.
 *
 * Everything is read with probe_read: an inode freed under the walk is noticed
 * (its link points to itself, or its superblock is another) and the walk resumes
 * from the last good inode, or restarts the superblock. A page counts only if its
 * folio still belongs to the mapping. Callback state lives in a map: before Linux
 * 6.7 the verifier folds state kept on the stack (ab5cfac139ab "bpf: verify callbacks
 * as if they are called unknown number of times").
 */
#include "engine.h"
#include "device.h"
#include "kernel.h"
#include "maps.h"
#include "names.h"
#include "owner.h"
#include "shmem.h"
#include "xarray.h"

#define MT_LEVELS 8		   /* of 64 slots each: 2^48 pages */
#define MT_LOOPS (8 * 1024 * 1024) /* BPF_MAX_LOOPS */
#define MT_RESTARTS 64
#define KERNEL_IMAGE 0xffffffff80000000ULL

struct mt_walk_state {
	__u64 sb;
	__u64 head; /* &sb->s_inodes */
	__u64 link; /* the list link to visit next */
	__u64 good; /* the link before it */
	__u64 mapping;
	__u64 memcg; /* memcg_data of the run being counted */
	__u64 run;   /* its pages */
	__u64 inode; /* struct inode being visited */
	struct mt_file file;
	struct mt_baseline_key key;
	struct mt_walk answer;
	__u32 visit;
	__u32 shmem;
	__u32 bdev;
	__u32 level;
	__u32 at[MT_LEVELS];
	__u64 nodes[MT_LEVELS][MT_SLOTS_PER_NODE];
};

MT_ARRAY(walk_state, struct mt_walk_state, 1);
MT_HASH(wanted, struct mt_file, __u32, 16384);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 400000);
	__type(key, struct mt_baseline_key);
	__type(value, struct mt_baseline_value);
} baseline SEC(".maps");

/* The same for a question asked now: the agent drains it after the walk. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct mt_baseline_key);
	__type(value, struct mt_baseline_value);
} resident SEC(".maps");

/* Removed cgroups met in this pass: their directory is gone, so nobody else can tell them. */
MT_HASH(told_cgroups, __u64, __u32, 4096);
MT_PERCPU(cgroup_scratch, struct mt_cgroup_event, 1);

static __always_inline struct mt_walk_state *state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&walk_state, &zero);
}

#define MT_ANCESTORS 16

/* A removed cgroup's name, and its nearest ancestor that is still there. */
static __always_inline void tell_removed(struct mem_cgroup *memcg, __u64 id)
{
	struct cgroup_subsys_state *css = &memcg->css;
	struct mt_cgroup_event *event;
	struct cgroup *cgroup;
	struct kernfs_node *node;
	__u32 zero = 0, one = 1;
	long bytes;
	int step;

	if (bpf_map_update_elem(&told_cgroups, &id, &one, BPF_NOEXIST))
		return;
	event = bpf_map_lookup_elem(&cgroup_scratch, &zero);
	if (!event)
		return;
	for (step = 0; step < MT_ANCESTORS; step++) {
		css = BPF_CORE_READ(css, parent);
		if (!css || !is_leaving(css))
			break;
	}
	event->type = MT_EVENT_CGROUP_RMDIR;
	event->id = id;
	event->parent = css ? memcg_id((struct mem_cgroup *)css) : 0;
	cgroup = BPF_CORE_READ(memcg, css.cgroup);
	node = BPF_CORE_READ(cgroup, kn);
	bytes = bpf_probe_read_kernel_str(event->path, MT_NAME_SLACK, BPF_CORE_READ(node, name));
	event->bytes = bytes > 0 ? bytes & (MT_NAME_SLACK * 2 - 1) : 0;
	send_event(event, sizeof(*event) - MT_PATH_BYTES + (event->bytes & (MT_NAME_SLACK * 2 - 1)),
		   MT_LOST_RING);
}

/* The run of pages of one owner is over: add it to the inode's row. */
static __always_inline void settle_run(struct mt_walk_state *s)
{
	struct mt_baseline_value fresh = {.pages = s->run, .visit = s->visit, .shmem = s->shmem};
	struct mem_cgroup *memcg = owner(s->memcg);
	void *into = s->answer.flags & MT_WALK_NOW ? (void *)&resident : (void *)&baseline;
	struct mt_baseline_value *row;
	struct mt_baseline_key key;

	if (!s->run)
		return;
	key = s->key;
	key.cgroup = owner_id(s->memcg);
	if (memcg && is_leaving(&memcg->css)) {
		remember_owner(s->memcg, memcg_id(memcg), BPF_NOEXIST);
		tell_removed(memcg, memcg_id(memcg));
	}
	row = bpf_map_lookup_elem(into, &key);
	if (row && row->visit == s->visit)
		row->pages += s->run;
	else if (bpf_map_update_elem(into, &key, &fresh, BPF_ANY))
		s->answer.full += s->run;
	s->answer.pages += s->run;
	s->run = 0;
}

static __always_inline void count_folio(struct mt_walk_state *s, struct folio *folio)
{
	__u64 head = 1ULL << bpf_core_enum_value(enum pageflags, PG_head);
	__u64 flags = 0, memcg;
	__u64 pages = 1;

	if ((__u64)BPF_CORE_READ(folio, mapping) != s->mapping)
		return;
	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	memcg = BPF_CORE_READ(folio, memcg_data);
	if (flags & head) {
		if (bpf_core_field_exists(folio->_nr_pages))
			pages = BPF_CORE_READ(folio, _nr_pages);
		else
			pages = BPF_CORE_READ((struct folio___v6_1 *)folio, _folio_nr_pages);
	}
	if (memcg != s->memcg) {
		settle_run(s);
		s->memcg = memcg;
	}
	s->run += pages;
}

/* Enters a node of the xarray; false when the tree is deeper than any file's. */
static __always_inline bool enter_node(struct mt_walk_state *s, __u64 entry, __u32 level)
{
	struct xa_node *node = (struct xa_node *)(entry & ~3ULL);

	if (level >= MT_LEVELS)
		return false;
	s->at[level & (MT_LEVELS - 1)] = 0;
	s->level = level;
	return bpf_probe_read_kernel(s->nodes[level & (MT_LEVELS - 1)], sizeof(s->nodes[0]),
				     (char *)node + bpf_core_field_offset(node->slots)) == 0;
}

/* One slot of the xarray a step; returns 1 when the tree is done. */
static int visit_slot(__u32 MT_UNUSED(step), void *MT_UNUSED(context))
{
	struct mt_walk_state *s = state();
	__u32 level, at;
	__u64 entry;

	if (!s)
		return 1;
	level = s->level & (MT_LEVELS - 1);
	at = s->at[level];
	if (at >= MT_SLOTS_PER_NODE) {
		if (level == 0)
			return 1;
		s->level = level - 1;
		return 0;
	}
	s->at[level] = at + 1;
	entry = s->nodes[level][at & (MT_SLOTS_PER_NODE - 1)];
	if (is_folio(entry))
		count_folio(s, (struct folio *)entry);
	else if (is_node(entry) && !enter_node(s, entry, s->level + 1))
		s->level = level;
	return 0;
}

static __always_inline void count_pages(struct mt_walk_state *s, struct address_space *mapping)
{
	__u64 root = (__u64)BPF_CORE_READ(mapping, i_pages.xa_head);

	s->mapping = (__u64)mapping;
	s->memcg = 0;
	s->run = 0;
	s->visit++;
	if (is_folio(root))
		count_folio(s, (struct folio *)root);
	else if (is_node(root) && enter_node(s, root, 0))
		bpf_loop(MT_LOOPS, visit_slot, NULL, 0);
	settle_run(s);
}

static __always_inline void identify_inode(struct mt_walk_state *s, struct inode *inode)
{
	if (s->bdev) {
		s->file.device = BPF_CORE_READ(inode, i_rdev);
		s->file.inode = 0;
		s->file.generation = 0;
	} else {
		s->file.device = subvolume_device(inode, s->answer.magic);
		if (!s->file.device)
			s->file.device = s->answer.device;
		s->file.inode = BPF_CORE_READ(inode, i_ino);
		s->file.generation = BPF_CORE_READ(inode, i_generation);
	}
	s->key.inode = s->file.inode;
	s->key.device = s->file.device;
	s->key.generation = s->file.generation;
}

static __always_inline void visit_pages(struct mt_walk_state *s, struct inode *inode,
					struct address_space *mapping, const struct mt_file *file)
{
	s->answer.files++;
	if ((s->answer.flags & MT_WALK_NAMES) && file->inode)
		send_path(inode, file, 2);
	if (s->answer.flags & MT_WALK_COUNT)
		count_pages(s, mapping);
}

/*
 * An inode borrowing another's mapping (a device node) is counted at its owner only.
 * A shmem page that comes while its file is being counted may be taken as told, and is
 * found by the next walk; told twice it would stay wrong.
 */
static __always_inline void visit_inode(struct mt_walk_state *s, struct inode *inode)
{
	struct address_space *mapping = BPF_CORE_READ(inode, i_mapping);
	__u64 pages = BPF_CORE_READ(mapping, nrpages);
	struct mt_file file;

	s->answer.inodes++;
	if ((!pages && !s->shmem) || BPF_CORE_READ(mapping, host) != inode)
		return;
	identify_inode(s, inode);
	file = s->file;
	if ((s->answer.flags & MT_WALK_WANTED) && !bpf_map_lookup_elem(&wanted, &file))
		return;
	if (pages)
		visit_pages(s, inode, mapping, &file);
	if (s->shmem && s->answer.flags & MT_WALK_COUNT)
		tell_all(&file, inode);
}

/* The link is not one of this list any more: go back, or start again. */
static __always_inline int recover(struct mt_walk_state *s)
{
	if (s->answer.restarts++ >= MT_RESTARTS) {
		s->answer.torn = 1;
		return 1;
	}
	s->link = s->good != s->link ? s->good : s->head;
	s->good = s->head;
	return 0;
}

/* One inode a step; returns 1 at the end of the list. */
static int visit_link(__u32 MT_UNUSED(step), void *MT_UNUSED(context))
{
	struct mt_walk_state *s = state();
	struct list_head *link;
	struct inode *inode;
	__u64 next = 0;

	if (!s)
		return 1;
	link = (struct list_head *)s->link;
	next = (__u64)BPF_CORE_READ(link, next);
	if (next == s->head)
		return 1;
	if (!next || next == s->link)
		return recover(s);
	inode = (struct inode *)(next - bpf_core_field_offset(((struct inode *)0)->i_sb_list));
	if ((__u64)BPF_CORE_READ(inode, i_sb) != s->sb)
		return recover(s);
	visit_inode(s, inode);
	s->good = s->link;
	s->link = next;
	return 0;
}

/* Follows the ring of superblocks from any of them to number `index` after its head. */
static int find_superblock(__u32 MT_UNUSED(step), void *MT_UNUSED(context))
{
	struct mt_walk_state *s = state();
	struct list_head *link;

	if (!s)
		return 1;
	link = (struct list_head *)s->link;
	s->link = (__u64)BPF_CORE_READ(link, next);
	if (!s->link)
		return 1;
	if (s->link >= KERNEL_IMAGE) { /* the head: second time round, there is no such number */
		if (s->answer.found)
			return s->link = 0, 1;
		s->answer.found = 1;
		return 0;
	}
	if (!s->answer.found)
		return 0;
	if (s->answer.index == 0)
		return 1;
	s->answer.index--;
	return 0;
}

static __always_inline __u64 any_superblock(__u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = current_file(task, fd);
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	return (__u64)BPF_CORE_READ(inode, i_sb);
}

static __always_inline void walk_superblock(struct mt_walk_state *s)
{
	struct super_block *sb = (struct super_block *)s->sb;
	__u64 magic = BPF_CORE_READ(sb, s_magic);

	s->answer.device = BPF_CORE_READ(sb, s_dev);
	s->answer.magic = magic;
	if (magic == HUGETLBFS_MAGIC || !(s->answer.flags & (MT_WALK_NAMES | MT_WALK_COUNT)))
		return;
	s->bdev = magic == BDEVFS_MAGIC;
	s->shmem = magic == TMPFS_MAGIC;
	s->head = s->sb + bpf_core_field_offset(sb->s_inodes);
	s->link = s->head;
	s->good = s->head;
	bpf_loop(MT_LOOPS, visit_link, NULL, 0);
}

SEC("syscall")
int walk(struct mt_walk *request)
{
	struct mt_walk_state *s = state();

	if (!s)
		return 1;
	__builtin_memset(&s->answer, 0, sizeof(s->answer));
	s->answer.fd = request->fd;
	s->answer.flags = request->flags;
	s->answer.index = request->index;
	s->link = any_superblock(request->fd);
	bpf_loop(65536, find_superblock, NULL, 0);
	if (!s->link) {
		s->answer.found = 0;
	} else {
		s->sb = s->link - bpf_core_field_offset(((struct super_block *)0)->s_list);
		walk_superblock(s);
	}
	request->found = s->answer.found;
	request->inodes = s->answer.inodes;
	request->files = s->answer.files;
	request->pages = s->answer.pages;
	request->full = s->answer.full;
	request->restarts = s->answer.restarts;
	request->torn = s->answer.torn;
	request->device = s->answer.device;
	request->magic = s->answer.magic;
	return 0;
}

LICENSE("Dual BSD/GPL");
