/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The evidence object: the maps that detectors, scheduler and daemon share. It has no
 * program. The daemon loads it first and hands its maps to every other object, so that
 * what was learnt outlives a restart of the scheduler.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "evidence.bpf.h"
#include "locks.bpf.h"
#include "task_ctxs.bpf.h"

char _license[] SEC("license") = "GPL";
