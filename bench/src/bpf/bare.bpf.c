/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sched_ext scheduler without a single program: the kernel's defaults, which are one queue in
 * order of arrival. What it costs against the kernel's own scheduler is the framework's; no
 * scheduler inside the framework can be cheaper.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC(".struct_ops.link")
struct sched_ext_ops bare = {
    .name = "bare",
};
