/* SPDX-License-Identifier: GPL-2.0-only */
/* Limits of what the BPF programs and the daemon share, and how it lies in memory. */
#ifndef SCX_GAMER_INTF_LAYOUT_H
#define SCX_GAMER_INTF_LAYOUT_H

enum limits {
	MAX_CPUS = 1024,
	MAX_LLCS = 128,
	CACHE_LINE = 64,
};

#define CACHE_ALIGNED __attribute__((aligned(CACHE_LINE)))
#define ASSERT_LAYOUT(type, size)                                                                  \
	_Static_assert(sizeof(type) == (size), #type " has changed its size")
#define ASSERT_OFFSET(type, field, offset)                                                         \
	_Static_assert(__builtin_offsetof(type, field) == (offset), #field " has moved")

#endif
