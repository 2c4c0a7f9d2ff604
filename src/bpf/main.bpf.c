/* SPDX-License-Identifier: GPL-2.0-only */
#include <scx/common.bpf.h>
#include "evidence.bpf.h"

char _license[] SEC("license") = "GPL";

UEI_DEFINE(uei);

SCX_OPS_DEFINE(gamer_ops, .name = "scx_gamer");
