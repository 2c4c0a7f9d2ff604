/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flip detector: keeps the frame clock of each display. Two hooks in DRM's core, which every driver's
 * flips pass, of the old and the new kind:
 *
 * - drm_event_reserve_init(): a thread asks to be told of a flip. It is current, so the file
 *   that it asks through is its process's.
 * - send_vblank_event(): the flip is done. In interrupt context as a rule: whoever is current has
 *   nothing to do with it, so the owner is looked up by the file of the event. The time is the one
 *   that the owner is told: of the display's own blank, where the driver knows it.
 *
 * DRM's own types are named here as far as they are read, as not every vmlinux.h has them.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "evidence.bpf.h"
#include "policy_window.h"

char _license[] SEC("license") = "GPL";

/* DRM_EVENT_FLIP_COMPLETE */
#define FLIP_COMPLETE 2

#define FILE_CNT 256

struct drm_event___flip {
	u32 type;
} __attribute__((preserve_access_index));

struct drm_event_vblank___flip {
	struct drm_event___flip base;
} __attribute__((preserve_access_index));

struct drm_pending_event___flip {
	struct drm_file *file_priv;
} __attribute__((preserve_access_index));

struct drm_pending_vblank_event___flip {
	struct drm_pending_event___flip base;
	unsigned int pipe;
	union {
		struct drm_event___flip base;
		struct drm_event_vblank___flip vbl;
	} event;
} __attribute__((preserve_access_index));

struct drm_vblank_crtc___flip {
	int framedur_ns;
} __attribute__((preserve_access_index));

struct drm_minor___flip {
	int index;
} __attribute__((preserve_access_index));

struct drm_device___flip {
	struct drm_minor___flip *primary;
	struct drm_vblank_crtc___flip *vblank;
} __attribute__((preserve_access_index));

struct flip_request {
	u64 asked_ns; /* CLOCK_MONOTONIC */
	u32 tgid;
	u32 pad;
};

/* The last flip asked for through an open file of DRM; a place is reused when files have gone. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FILE_CNT);
	__type(key, u64);
	__type(value, struct flip_request);
} flip_requests SEC(".maps");

static __always_inline int flip_asked(struct drm_file *file)
{
	u64 key = (u64)file;
	struct flip_request request = {
	    .asked_ns = bpf_ktime_get_ns(),
	    .tgid = bpf_get_current_pid_tgid() >> 32,
	};

	bpf_map_update_elem(&flip_requests, &key, &request, BPF_ANY);
	return 0;
}

/* What came of the last input can be seen now: its window has done its work. */
static __always_inline void close_window(const struct flip_request *request, u64 interval_ns)
{
	struct evidence *shared = get_evidence();

	if (shared && policy_flip_shows(request->asked_ns, shared->input_event_ns, interval_ns))
		shared->window_end_ns = shared->input_event_ns;
}

/* The place of a display: its own, or the one that was flipped longest ago. */
static __always_inline struct display_evidence *find_display(u32 card_idx, u32 crtc_idx, u64 now_ns)
{
	struct display_evidence *oldest = NULL;
	u64 oldest_ns = EVIDENCE_HOLD_NS;

	for (u32 i = 0; i < DISPLAY_CNT; i++) {
		u32 key = i;
		struct display_evidence *display = bpf_map_lookup_elem(&display_evidence, &key);
		u64 age_ns;

		if (!display)
			return NULL;
		if (display->clock.last_flip_ns && display->card_idx == card_idx &&
		    display->crtc_idx == crtc_idx)
			return display;
		age_ns = now_ns - display->clock.last_flip_ns;
		if (age_ns > oldest_ns) {
			oldest = display;
			oldest_ns = age_ns;
		}
	}
	if (oldest) {
		__builtin_memset(oldest, 0, sizeof(*oldest));
		oldest->card_idx = card_idx;
		oldest->crtc_idx = crtc_idx;
	}
	return oldest;
}

/* The length of a frame in the display's mode; 0 where the driver counts no blanks. */
static __always_inline u32 mode_refresh_ns(struct drm_device___flip *dev, u32 crtc_idx)
{
	void *crtc = BPF_CORE_READ(dev, vblank);

	if (!crtc)
		return 0;
	crtc += (u64)crtc_idx * bpf_core_type_size(struct drm_vblank_crtc___flip);
	return BPF_CORE_READ((struct drm_vblank_crtc___flip *)crtc, framedur_ns);
}

static __always_inline int flip_done(struct drm_device___flip *dev,
				     struct drm_pending_vblank_event___flip *event, u64 now_ns)
{
	struct drm_minor___flip *card;
	struct display_evidence *display;
	struct flip_request *request;
	u32 crtc_idx;
	u64 file;

	if (BPF_CORE_READ(event, event.base.type) != FLIP_COMPLETE)
		return 0;
	crtc_idx = BPF_CORE_READ(event, pipe);
	card = BPF_CORE_READ(dev, primary);
	display = find_display(BPF_CORE_READ(card, index), crtc_idx, now_ns);
	if (!display)
		return 0;
	policy_frame_flip(&display->clock, now_ns);
	display->refresh_ns = mode_refresh_ns(dev, crtc_idx);
	file = (u64)BPF_CORE_READ(event, base.file_priv);
	request = bpf_map_lookup_elem(&flip_requests, &file);
	display->owner_tgid = request ? request->tgid : 0;
	if (request)
		close_window(request, display->clock.interval_ns);
	return 0;
}

SEC("?fentry")
int BPF_PROG(asked_fentry, struct drm_device *dev, struct drm_file *file)
{
	return flip_asked(file);
}

SEC("?kprobe")
int BPF_KPROBE(asked_kprobe, struct drm_device *dev, struct drm_file *file)
{
	return flip_asked(file);
}

SEC("?fentry")
int BPF_PROG(done_fentry, void *dev, void *event, u64 seq, u64 now_ns)
{
	return flip_done(dev, event, now_ns);
}

SEC("?kprobe")
int BPF_KPROBE(done_kprobe, void *dev, void *event, u64 seq, u64 now_ns)
{
	return flip_done(dev, event, now_ns);
}
