/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Knobs and topology: what the daemon fixes before the load. All of it is read-only data,
 * so that the verifier removes the branches that this machine does not need.
 */
#ifndef SCX_GAMER_KNOBS_BPF_H
#define SCX_GAMER_KNOBS_BPF_H

#include "intf.h"

/* Longest run before the queues are looked at again, in ns. */
const volatile u64 slice_ns = 3000000;

/* Shortest slice a busy machine gives, in ns. */
const volatile u64 slice_ns_min = 500000;

/* No deadline lies further away than this, in ns. */
const volatile u64 wait_bound_ns = 300000000;

/* Whether input events make the game urgent; for how long, the input detector is told. */
const volatile bool input_windows = true;

/* Load in per cent from which the busy regime holds, 1..100. */
const volatile u32 busy_enter_pct = 85;

/* The roles (bit 1 << role) that have each boost. */
const volatile u32 roles_of_boost[POLICY_BOOST_MAX + 1];

/*
 * The part of the CPUs' time that boosted tasks may take, in the unit of POLICY_SHARE_ALL; 0: all of it.
 */
const volatile u32 boosted_share_max;

/* Whether the cpufreq governor is told how fast a CPU has to be: only where it listens. */
const volatile bool perf_targets;

/* Fewer and slower CPUs: the pipeline too is driven by its load, and who has no boost is packed. */
const volatile bool saves_power;

/*
 * Those from here to the topology switch off a part of the policy, to measure what it buys. Without all of
 * them every task still runs within its bound; what that rests on has no knob.
 */

/* A waking task goes straight to an idle CPU. */
const volatile bool dispatch_direct = true;

/* Among idle CPUs cache, core and kind of CPU count. */
const volatile bool placement_counts = true;

/* A woken kernel thread of one CPU goes straight there. */
const volatile bool kthreads_direct = true;

/* A task may have the CPU of the one that it puts off at once, without a queue, where it is woken. */
const volatile bool takes_home = true;

/* A CPU with nothing to do takes from the queues of other LLCs. */
const volatile bool steals = true;

/* A busy machine does not divide the slices of urgent and of background tasks. */
const volatile bool role_slices = true;

/* An arrival may put off a running task. */
const volatile bool arrivals_preempt = true;

/* Who is put off by brief real-time tasks waits for its CPU. */
const volatile bool rt_waits_count = true;

/* Recent run makes a deadline later. */
const volatile bool recent_run_counts = true;

/* The deadlines of who draws and shows frames shrink as the next flip nears. */
const volatile bool frame_clock_counts = true;

/* A steady beat of wake-ups earns boost. */
const volatile bool rates_count = true;

/* Who wakes another lends it boost. */
const volatile bool loans_count = true;

/* Who holds a lock inherits the boost of who waits for it; only with the sync detector. */
const volatile bool inheritance_counts = false;

/* Late turns raise who has a boost. */
const volatile bool misses_count = true;

/* How far behind the virtual now a waking task may stay, in ns; 0: it keeps no credit. */
const volatile u64 sleep_credit_ns = POLICY_CREDIT_NS;

/* By how much boosted tasks and those that serve others come before the rest, in ns; 0: not. */
const volatile u64 head_start_ns = POLICY_HEAD_START_NS;

/* By how much background tasks come later, in ns; 0: not. */
const volatile u64 background_ns = POLICY_BACKGROUND_NS;

/* Who has no boost comes later by what a round of its queue takes. */
const volatile bool crowd_counts = true;

/* How much later a task may be due that is taken as its CPU's cache is warm for it, in ns; 0: not. */
const volatile u64 locality_ns = POLICY_LOCALITY_NS;

/* There is something to choose among idle CPUs: several LLCs, SMT, or CPUs of two kinds. */
const volatile bool cpus_have_order = false;

/* Some CPUs suit the pipeline better than others: those of `fast_cpus`, a bit each. */
const volatile bool cpus_differ = false;
const volatile u64 fast_cpus[MAX_CPUS / 64];

/* There are CPUs whose tick the kernel may stop, a bit each: who is alone there runs without one. */
const volatile bool tickless = false;
const volatile u64 tickless_cpus[MAX_CPUS / 64];

/* Highest CPU id + 1. */
const volatile u32 cpu_id_cnt = 1;
const volatile u32 llc_cnt = 1;

/* LLC index of each CPU. */
const volatile u16 llc_of_cpu[MAX_CPUS];

/* NUMA node of each LLC; there are several, and the kernel can look for an idle CPU in one alone. */
const volatile bool nodes_differ = false;
const volatile bool idle_by_node = false;
const volatile u16 node_of_llc[MAX_LLCS];

/* CPUs in the order of their LLCs: those of LLC i begin at llc_first[i]. */
const volatile u16 cpus_by_llc[MAX_CPUS];
const volatile u16 llc_first[MAX_LLCS];
const volatile u16 llc_cpu_cnt[MAX_LLCS];

#endif
