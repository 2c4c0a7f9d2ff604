/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program whose threads wait for locks, for tests/guest/sync.rs, which compiles it:
 *
 *	locks SCENARIO [KIND [NUMBER]]
 *
 * It says "holder ID" and waits for a line before it begins. Each waiter says "waiter ID" before it
 * waits. At the next line the holder lets go, and says "done" when all have got the lock. At the
 * third the program ends.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64

/* include/uapi/linux/ntsync.h, which older distributions lack */
struct mutex_args {
	uint32_t owner, count;
};
struct event_args {
	uint32_t manual, signaled;
};
struct wait_args {
	uint64_t timeout, objs;
	uint32_t count, index, flags, owner, alert, pad;
};
#define WAIT_ANY     _IOWR('N', 0x82, struct wait_args)
#define CREATE_MUTEX _IOW('N', 0x84, struct mutex_args)
#define MUTEX_UNLOCK _IOWR('N', 0x85, struct mutex_args)
#define CREATE_EVENT _IOW('N', 0x87, struct event_args)
#define EVENT_SET    _IOR('N', 0x88, uint32_t)

/* As in programs: what follows the condition variable is a lock. */
static struct {
	pthread_cond_t cond;
	pthread_mutex_t mutex, second;
} shared = { PTHREAD_COND_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER };

static pthread_mutex_t *lock = &shared.mutex;
static uint32_t *word;
static volatile int stop, signaled;
static int device, object;
static int scribbles_itself, waits_by_vector, is_event;
static uint32_t owner_of_object = 4;
static long waiter_cnt = 1;

static void say(const char *name, long id)
{
	printf("%s %ld\n", name, id);
	fflush(stdout);
}

static void wait_for_line(void)
{
	char line[16];

	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void lock_once(pthread_mutex_t *mutex)
{
	if (pthread_mutex_lock(mutex) || pthread_mutex_unlock(mutex))
		die("mutex");
}

static void *locker(void *name)
{
	say(name, gettid());
	if (scribbles_itself)
		lock->__data.__owner = gettid();
	lock_once(lock);
	return NULL;
}

/* Holds the second lock while it waits for the first. */
static void *middle(void *name)
{
	pthread_mutex_lock(&shared.second);
	say(name, gettid());
	lock_once(lock);
	pthread_mutex_unlock(&shared.second);
	return NULL;
}

static void *second_locker(void *name)
{
	say(name, gettid());
	lock_once(&shared.second);
	return NULL;
}

static void *cond_waiter(void *name)
{
	pthread_mutex_lock(lock);
	say(name, gettid());
	while (!signaled)
		pthread_cond_wait(&shared.cond, lock);
	pthread_mutex_unlock(lock);
	return NULL;
}

static void *pi_waiter(void *name)
{
	say(name, gettid());
	if (*word == 1)
		*word = gettid();
	syscall(SYS_futex, word, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL);
	return NULL;
}

/* A thread block of Windows with this thread id. */
static void become_wine(uint64_t tid)
{
	uint64_t *teb = calloc(16, sizeof(*teb));

	teb[6] = (uint64_t)teb;
	teb[9] = tid;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, teb))
		die("arch_prctl");
}

static void *wine_waiter(void *name)
{
	struct {
		uint64_t val, uaddr;
		uint32_t flags, reserved;
	} vector = { 4, (uint64_t)word, 2, 0 };

	become_wine(8);
	say(name, gettid());
	if (waits_by_vector)
		syscall(449, &vector, 1, 0, NULL, 0);
	else
		syscall(SYS_futex, word, FUTEX_WAIT, 4, NULL);
	return NULL;
}

static int ntsync_wait(uint32_t owner)
{
	struct wait_args args = { .timeout = UINT64_MAX, .count = 1, .owner = owner };

	args.objs = (uint64_t)&object;
	return ioctl(device, WAIT_ANY, &args);
}

static void *ntsync_waiter(void *name)
{
	say(name, gettid());
	ntsync_wait(8);
	return NULL;
}

static void *short_locker(void *unused)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 200 * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_timedlock(lock, &until);
	return unused;
}

static void *contender(void *unused)
{
	while (!stop) {
		pthread_mutex_lock(lock);
		for (volatile int i = 0; i < 2000; i++)
			;
		pthread_mutex_unlock(lock);
		for (volatile int i = 0; i < 200; i++)
			;
	}
	return unused;
}

static volatile uint32_t turn, sides;
static volatile long turns;

static void *player(void *unused)
{
	uint32_t own = __sync_fetch_and_add(&sides, 1);

	while (!stop) {
		if (turn != own) {
			syscall(SYS_futex, &turn, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, !own, NULL);
			continue;
		}
		turns++;
		turn = !own;
		syscall(SYS_futex, &turn, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	}
	syscall(SYS_futex, &turn, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	return unused;
}

static void make_lock(const char *kind)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	if (!strcmp(kind, "pi"))
		pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (!strcmp(kind, "shared"))
		pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!strcmp(kind, "recursive"))
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(lock, &attr);
}

static void take_lock(const char *kind, long number)
{
	make_lock(kind);
	pthread_mutex_lock(lock);
	waiter_cnt = number;
}

static void take_nested(const char *kind, long number)
{
	pthread_t thread;

	take_lock(kind, number);
	pthread_create(&thread, NULL, middle, "middle");
	while (!shared.second.__data.__owner)
		usleep(1000);
}

static void take_and_scribble(const char *kind, long number)
{
	take_lock(kind, 1);
	scribbles_itself = !strcmp(kind, "self");
	lock->__data.__owner = number;
}

static void scribble_pi(const char *kind, long number)
{
	(void)kind;
	*word = number;
}

static void take_wine(const char *kind, long number)
{
	(void)number;
	waits_by_vector = !strcmp(kind, "vector");
	become_wine(4);
	syscall(SYS_futex, word, FUTEX_WAIT, 1, NULL);
	word[0] = 4;
	word[1] = 1;
}

static void release_wine(void)
{
	word[0] = 0;
	syscall(SYS_futex, word, FUTEX_WAKE, 1);
}

static void take_ntsync(const char *kind, long number)
{
	struct mutex_args mutex = { 0, 0 };
	struct event_args event = { 0, 0 };

	(void)number;
	device = open("/dev/ntsync", O_RDWR);
	if (device < 0)
		die("/dev/ntsync");
	is_event = !strcmp(kind, "event");
	/* Owned from its creation on, by somebody who never waited. */
	if (!strcmp(kind, "stranger"))
		mutex = (struct mutex_args){ owner_of_object = 1000, 1 };
	object = is_event ? ioctl(device, CREATE_EVENT, &event) :
			    ioctl(device, CREATE_MUTEX, &mutex);
	if (object < 0 || (!strcmp(kind, "mutex") && ntsync_wait(owner_of_object)))
		die("ntsync");
}

static void release_ntsync(void)
{
	struct mutex_args unlock = { owner_of_object, 0 };
	uint32_t before;

	if (is_event ? ioctl(object, EVENT_SET, &before) : ioctl(object, MUTEX_UNLOCK, &unlock))
		die("ntsync");
}

static void release_lock(void)
{
	pthread_mutex_unlock(lock);
}

static long ms_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "done" tells how many ms it took to work for 300 ms. */
static void work_and_release(void)
{
	long began = ms_of(CLOCK_MONOTONIC);
	long ran = ms_of(CLOCK_THREAD_CPUTIME_ID);

	while (ms_of(CLOCK_THREAD_CPUTIME_ID) - ran < 300)
		;
	turns = ms_of(CLOCK_MONOTONIC) - began;
	release_lock();
}

static void signal_cond(void)
{
	signaled = 1;
	pthread_cond_signal(&shared.cond);
}

/* NUMBER threads, each of which gives up soon. */
static void take_and_storm(const char *kind, long number)
{
	pthread_t threads[THREADS_MAX];

	take_lock(kind, 1);
	for (; number > 0; number -= THREADS_MAX) {
		for (int i = 0; i < THREADS_MAX; i++)
			pthread_create(&threads[i], NULL, short_locker, NULL);
		for (int i = 0; i < THREADS_MAX; i++)
			pthread_join(threads[i], NULL);
	}
}

static void contend(const char *kind, long number)
{
	make_lock(kind);
	waiter_cnt = number;
}

/* Two threads wake each other for NUMBER seconds; then the program ends. */
static void play_ping_pong(const char *kind, long number)
{
	pthread_t threads[2];

	(void)kind;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, player, NULL);
	sleep(number);
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	say("done", turns);
	exit(0);
}

static const struct scenario {
	const char *name;
	void (*begin)(const char *kind, long number);
	void *(*waiter)(void *name);
	void (*release)(void);
} scenarios[] = {
	{ "hold", take_lock, locker, release_lock },
	{ "work", take_lock, locker, work_and_release },
	{ "nested-work", take_nested, second_locker, work_and_release },
	{ "nested", take_nested, second_locker, release_lock },
	{ "cond", NULL, cond_waiter, signal_cond },
	{ "scribble", take_and_scribble, locker, release_lock },
	{ "pi-word", scribble_pi, pi_waiter, NULL },
	{ "wine", take_wine, wine_waiter, release_wine },
	{ "ntsync", take_ntsync, ntsync_waiter, release_ntsync },
	{ "storm", take_and_storm, short_locker, release_lock },
	{ "contend", contend, contender, NULL },
	{ "pingpong", play_ping_pong, NULL, NULL },
};

static void play(const struct scenario *scenario, const char *kind, long number)
{
	pthread_t threads[THREADS_MAX];

	say("holder", gettid());
	wait_for_line();
	if (scenario->begin)
		scenario->begin(kind, number);
	for (long i = 0; i < waiter_cnt; i++)
		pthread_create(&threads[i], NULL, scenario->waiter, "waiter");
	wait_for_line();
	if (scenario->release)
		scenario->release();
	stop = 1;
	for (long i = 0; i < waiter_cnt; i++)
		pthread_join(threads[i], NULL);
	say("done", turns);
	wait_for_line();
}

int main(int argc, char **argv)
{
	const char *kind = argc > 2 ? argv[2] : "";
	long number = argc > 3 ? atol(argv[3]) : 1;

	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (argc > 1 && !strcmp(argv[1], scenarios[i].name))
			play(&scenarios[i], kind, number);
	}
	return 0;
}
