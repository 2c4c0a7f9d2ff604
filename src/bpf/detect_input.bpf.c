/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Input detector: sees every key, button and axis value which a driver reports, opens the
 * input window by the time of the event, and hands a record of it to the daemon.
 *
 * Hook: entry of input_event(), by fentry or, where that cannot be had, by kprobe; the
 * daemon loads one of the two. EV_SYN and other bookkeeping are not events. A driver may
 * report a value which has not changed: it counts, because telling needs the value.
 *
 * No key code and no value: the programs do not even declare those arguments, and a record
 * has no room for them.
 *
 * Each CPU writes into one of 16 rings, by a table which the daemon fills, so that
 * reporting CPUs do not share a lock and a cache line. Where the 16 cannot be created there
 * is a single one. A full ring costs the record, never the driver's time, and is counted.
 *
 * Wake-ups: the kernel's own rule (flags 0) wakes the daemon only for a record that finds
 * the ring read to its end. So the last record of a burst is never left lying, and the rate
 * of wake-ups is set by how often the daemon reads: see the events room.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "evidence.bpf.h"
#include "policy_window.h"

char _license[] SEC("license") = "GPL";

/*
 * 64 KiB is the smallest size that suits every page size in use; it holds 2730 records:
 * 0.17 s of a mouse with 8 kHz that reports two axes. 16 of them are 1 MiB.
 */
enum { INPUT_RING_BYTES = 64 * 1024 };

/*
 * The shared words are not written more often than this: their line is read by every CPU, and
 * the values of one report come within microseconds.
 */
enum { EVENT_GRAIN_NS = 100 * 1000 };

/* From the user-space interface of the input core; vmlinux.h has no macros. */
enum input_abi {
	EV_KEY = 0x01,
	EV_REL = 0x02,
	EV_ABS = 0x03,
	REL_X = 0x00,
	REL_Y = 0x01,
	KEY_Q = 16,
	KEY_P = 25,
	BTN_WORD = 4, /* of keybit: 0x100..0x13f */
	BTN_LEFT = 0x110,
	BTN_JOYSTICK = 0x120,
	BTN_GAMEPAD = 0x130,
};

#define BIT_OF(bit) (1ULL << ((bit) & 63))
/* KEY_Q..KEY_P: the upper row of letters. */
#define LETTER_KEYS ((BIT_OF(KEY_P) << 1) - BIT_OF(KEY_Q))

enum { DEVICE_ID_UNKNOWN = 0xffffffff };

/* One ring for each CPU id, filled by the daemon; unused if single_ring. */
const volatile u8 ring_of_cpu[MAX_CPUS];
/* How long an event of a device of each class makes the game urgent, in ns; 0: it does not. */
const volatile u64 window_ns_of_class[DEVICE_CLASS_CNT];

/* The 16 rings could not be created: all CPUs write `input_events_ringbuf`. */
const volatile bool single_ring = false;

struct input_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, INPUT_RING_BYTES);
};

#define DEFINE_INPUT_RING(idx) struct input_ring input_events_ringbuf_##idx SEC(".maps")
DEFINE_INPUT_RING(0);
DEFINE_INPUT_RING(1);
DEFINE_INPUT_RING(2);
DEFINE_INPUT_RING(3);
DEFINE_INPUT_RING(4);
DEFINE_INPUT_RING(5);
DEFINE_INPUT_RING(6);
DEFINE_INPUT_RING(7);
DEFINE_INPUT_RING(8);
DEFINE_INPUT_RING(9);
DEFINE_INPUT_RING(10);
DEFINE_INPUT_RING(11);
DEFINE_INPUT_RING(12);
DEFINE_INPUT_RING(13);
DEFINE_INPUT_RING(14);
DEFINE_INPUT_RING(15);

struct input_ring input_events_ringbuf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, INPUT_RING_CNT);
	__type(key, u32);
	__array(values, struct input_ring);
} input_rings SEC(".maps") = {
    .values =
	{
	    &input_events_ringbuf_0,
	    &input_events_ringbuf_1,
	    &input_events_ringbuf_2,
	    &input_events_ringbuf_3,
	    &input_events_ringbuf_4,
	    &input_events_ringbuf_5,
	    &input_events_ringbuf_6,
	    &input_events_ringbuf_7,
	    &input_events_ringbuf_8,
	    &input_events_ringbuf_9,
	    &input_events_ringbuf_10,
	    &input_events_ringbuf_11,
	    &input_events_ringbuf_12,
	    &input_events_ringbuf_13,
	    &input_events_ringbuf_14,
	    &input_events_ringbuf_15,
	},
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct input_counters);
} input_counters SEC(".maps");

/* What a device can report, as far as its class depends on it. */
struct device_facts {
	u64 event_bits;
	u64 rel_bits;
	u64 key_bits;	 /* 0..63: letters are among them */
	u64 button_bits; /* 0x100..0x13f */
	const char *name;
};

static __always_inline bool is_event(u32 type)
{
	return type == EV_KEY || type == EV_REL || type == EV_ABS;
}

/*
 * The mouse comes first: one with more than 16 buttons runs into the joystick's codes, and
 * many have a few keys as well.
 */
static __always_inline u32 classify_device(const struct device_facts *facts)
{
	u64 motion = BIT_OF(REL_X) | BIT_OF(REL_Y);

	if ((facts->event_bits & BIT_OF(EV_REL)) && (facts->rel_bits & motion) == motion &&
	    (facts->button_bits & BIT_OF(BTN_LEFT)))
		return DEVICE_MOUSE;
	if (facts->button_bits & (BIT_OF(BTN_JOYSTICK) | BIT_OF(BTN_GAMEPAD)))
		return DEVICE_GAMEPAD;
	if ((facts->key_bits & LETTER_KEYS) == LETTER_KEYS)
		return DEVICE_KEYBOARD;
	return DEVICE_OTHER;
}

/* The running number in the kernel's name of the device, "input<number>". */
static __always_inline u32 parse_device_id(const char *name)
{
	char text[16] = {};
	u32 id = 0;
	int i;

	if (bpf_probe_read_kernel_str(text, sizeof(text), name) < 0)
		return DEVICE_ID_UNKNOWN;
	if (text[0] != 'i' || text[4] != 't')
		return DEVICE_ID_UNKNOWN;
	for (i = 5; i < (int)sizeof(text); i++) {
		u32 digit = (u8)text[i] - '0';

		if (digit > 9)
			break;
		id = id * 10 + digit;
	}
	return i > 5 ? id : DEVICE_ID_UNKNOWN;
}

static __always_inline void publish_event(u64 now_ns, u32 class)
{
	struct evidence *shared = get_evidence();
	volatile u64 *last_ns, *end_ns;
	u64 new_end_ns;

	if (!shared)
		return;
	last_ns = &shared->input_event_ns;
	if (policy_delta_ns(now_ns, *last_ns) >= EVENT_GRAIN_NS || !*last_ns)
		*last_ns = now_ns;
	end_ns = &shared->window_end_ns;
	new_end_ns =
	    policy_window_extend(*end_ns, now_ns, window_ns_of_class[class & (DEVICE_CLASS_CNT - 1)]);
	if (policy_delta_ns(new_end_ns, *end_ns) >= EVENT_GRAIN_NS || (new_end_ns && !*end_ns))
		*end_ns = new_end_ns;
}

static __always_inline struct input_record *reserve_record(u32 cpu)
{
	u32 idx;
	void *ring;

	if (single_ring) {
		ring = &input_events_ringbuf;
		/* Keeps the address in this branch: elsewhere the map does not exist. */
		asm volatile("" : "+r"(ring));
		return bpf_ringbuf_reserve(ring, sizeof(struct input_record), 0);
	}
	idx = cpu < MAX_CPUS ? ring_of_cpu[cpu & (MAX_CPUS - 1)] : 0;
	ring = bpf_map_lookup_elem(&input_rings, &idx);
	if (!ring)
		return NULL;
	return bpf_ringbuf_reserve(ring, sizeof(struct input_record), 0);
}

static __always_inline int report_event(const struct device_facts *facts)
{
	u32 zero = 0, cpu = bpf_get_smp_processor_id();
	u32 class = classify_device(facts);
	u64 now_ns = bpf_ktime_get_ns();
	struct input_counters *counters = bpf_map_lookup_elem(&input_counters, &zero);
	struct input_record *record;

	if (!counters)
		return 0;
	publish_event(now_ns, class);
	/* Atomic, since an interrupt on this CPU may report an event of its own. */
	__atomic_fetch_add(&counters->event_cnt[class], 1, __ATOMIC_RELAXED);
	record = reserve_record(cpu);
	if (!record) {
		__atomic_fetch_add(&counters->dropped_cnt, 1, __ATOMIC_RELAXED);
		return 0;
	}
	record->time_ns = now_ns;
	record->device_id = parse_device_id(facts->name);
	record->cpu = cpu;
	record->device_class = class;
	record->pad = 0;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("?fentry")
int BPF_PROG(input_event_fentry, struct input_dev *dev, unsigned int type)
{
	struct device_facts facts;

	if (!is_event(type))
		return 0;
	facts.event_bits = dev->evbit[0];
	facts.rel_bits = dev->relbit[0];
	facts.key_bits = dev->keybit[0];
	facts.button_bits = dev->keybit[BTN_WORD];
	facts.name = dev->dev.kobj.name;
	return report_event(&facts);
}

SEC("?kprobe")
int BPF_KPROBE(input_event_kprobe, struct input_dev *dev, unsigned int type)
{
	struct device_facts facts;

	if (!is_event(type))
		return 0;
	facts.event_bits = BPF_CORE_READ(dev, evbit[0]);
	facts.rel_bits = BPF_CORE_READ(dev, relbit[0]);
	facts.key_bits = BPF_CORE_READ(dev, keybit[0]);
	facts.button_bits = BPF_CORE_READ(dev, keybit[BTN_WORD]);
	facts.name = BPF_CORE_READ(dev, dev.kobj.name);
	return report_event(&facts);
}
