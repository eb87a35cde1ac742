/* The file beside the state file, `<state>.calls`, is mapped by the driver in Python and by every process that
 * loads this library: the generation of the state, what is alive in the newest process, and a count for each
 * function. Counting is an atomic addition, so neither threads nor processes lose a call. */
#include "calls.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_FUNCTIONS 255
#define MAX_HANDLES 512

struct counter { char name[56]; _Atomic u64 count; };
struct shared {
    _Atomic u64 generation, pid, processes;
    _Atomic int64_t init_references, gpm_samples, event_sets;
    u64 spare[2];
    struct counter counter[MAX_FUNCTIONS];
};

struct handle { enum handle_kind kind; char uuid[96], parent[96]; int slot; };

static struct shared *shared;
static int shared_fd = -1;
static atomic_int init_references;
static u64 loaded_epoch; /* the driver's when this library was mapped; a newer driver refuses it for ever */
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle handles[MAX_HANDLES];

__attribute__((constructor)) static void attach(void) {
    const char *state_path = getenv("FAKE_NVML_STATE");
    char path[4096];
    if (!state_path || snprintf(path, sizeof path, "%s.calls", state_path) >= (int)sizeof path) return;
    shared_fd = open(path, O_RDWR | O_CLOEXEC);
    if (shared_fd < 0) return;
    void *map = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
    if (map == MAP_FAILED) return;
    shared = map;
    atomic_fetch_add(&shared->processes, 1);
    atomic_store(&shared->pid, (u64)getpid());
    atomic_store(&shared->init_references, 0);
    atomic_store(&shared->gpm_samples, 0);
    atomic_store(&shared->event_sets, 0);
    struct state *s = state_acquire();
    if (s) {
        loaded_epoch = s->driver_epoch;
        state_release(s);
    }
}

u64 calls_generation(void) { return shared ? atomic_load(&shared->generation) : 0; }

/* Only the newest process' objects are shown: what an older one held died or will die with it. */
static void add_live(_Atomic int64_t *what, int by) {
    if (shared && atomic_load(&shared->pid) == (u64)getpid()) atomic_fetch_add(what, by);
}
void calls_live_gpm_samples(int by) { add_live(&shared->gpm_samples, by); }
void calls_live_event_sets(int by) { add_live(&shared->event_sets, by); }

void calls_initialised(int by) {
    atomic_fetch_add(&init_references, by);
    add_live(&shared->init_references, by);
}

static int find_counter(const char *name) {
    flock(shared_fd, LOCK_EX); /* between processes; handles_lock is held between threads */
    int i = 0;
    while (i < MAX_FUNCTIONS - 1 && shared->counter[i].name[0] && strcmp(shared->counter[i].name, name) != 0) i++;
    if (!shared->counter[i].name[0]) snprintf(shared->counter[i].name, sizeof shared->counter[i].name, "%s", name);
    flock(shared_fd, LOCK_UN);
    return i;
}

static void count(const char *name, atomic_int *slot) {
    if (!shared) return;
    if (atomic_load(slot) == 0) {
        pthread_mutex_lock(&handles_lock);
        if (atomic_load(slot) == 0) atomic_store(slot, find_counter(name) + 1);
        pthread_mutex_unlock(&handles_lock);
    }
    atomic_fetch_add(&shared->counter[atomic_load(slot) - 1].count, 1);
}

void pause_ms(unsigned ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* A pattern is a whole name, or a beginning of one and a star. Shutting down touches no driver, so that a star
 * alone leaves it out. */
static int names(const char *pattern, const char *name) {
    size_t n = strlen(pattern);
    if (n == 1 && strcmp(name, "nvmlShutdown") == 0) return 0;
    if (n && pattern[n - 1] == '*') return strncmp(pattern, name, n - 1) == 0;
    return strcmp(pattern, name) == 0;
}

static const struct fault *find_fault(const struct state *s, const char *name, const char *uuid, int from) {
    for (int i = from; i < s->faults; i++)
        if (names(s->fault[i].function, name) && strcmp(s->fault[i].uuid, uuid) == 0) return &s->fault[i];
    return NULL;
}

/* Waits until the test takes the fault away; one that hangs stays where it is. */
static void wait_out(struct call *call, const struct fault *fault) {
    struct fault asked = *fault;
    for (;;) {
        pause_ms(5);
        if (asked.kind == FAULT_HANG) continue;
        state_release(call->state);
        call->state = state_acquire();
        int there = 0;
        for (int i = 0; call->state && i < call->state->faults; i++)
            there |= memcmp(&call->state->fault[i], &asked, sizeof asked) == 0;
        if (!there) return;
    }
}

static nvmlReturn_t do_faults(struct call *call, const char *uuid) {
    int next = 0;
    const struct fault *fault;
    while ((fault = find_fault(call->state, call->name, uuid, next))) {
        next = (int)(fault - call->state->fault) + 1;
        if (fault->kind == FAULT_RETURN) return fault->value;
        if (fault->kind == FAULT_SLOW) pause_ms(fault->value);
        else {
            wait_out(call, fault);
            next = 0;
        }
    }
    return OK;
}

nvmlReturn_t gpu_fault_on_everything(const struct state *s, const char *uuid) {
    for (int i = 0; i < s->faults; i++)
        if (!strcmp(s->fault[i].function, "*") && !strcmp(s->fault[i].uuid, uuid) && s->fault[i].kind == FAULT_RETURN)
            return s->fault[i].value;
    return OK;
}

nvmlReturn_t call_begin(struct call *call, atomic_int *slot, int needs_init) {
    count(call->name, slot);
    call->state = state_acquire();
    if (!call->state) return UNKNOWN;
    nvmlReturn_t rc = do_faults(call, "*");
    if (rc != OK) return rc;
    if (call->state->driver_epoch != loaded_epoch) return LIB_RM_VERSION_MISMATCH;
    if (needs_init && atomic_load(&init_references) <= 0) return UNINITIALIZED;
    return OK;
}

nvmlReturn_t call_gpu_faults(struct call *call, const char *uuid) { return do_faults(call, uuid); }

void call_end(struct call *call) {
    if (call->state) state_release(call->state);
}

static struct gpu *find_gpu(struct state *s, const char *uuid) {
    for (int i = 0; i < s->gpus; i++)
        if (strcmp(s->gpu[i].uuid, uuid) == 0) return &s->gpu[i];
    return NULL;
}

nvmlReturn_t call_device(struct call *call, nvmlDevice_t device, unsigned kinds) {
    if (device < handles || device >= handles + MAX_HANDLES || ((char *)device - (char *)handles) % sizeof *handles) return INVALID_ARGUMENT;
    pthread_mutex_lock(&handles_lock);
    struct handle h = *device;
    pthread_mutex_unlock(&handles_lock);
    if (h.kind == HANDLE_NONE) return INVALID_ARGUMENT;
    nvmlReturn_t rc = do_faults(call, h.parent);
    if (rc != OK) return rc;
    call->gpu = find_gpu(call->state, h.parent);
    if (!call->gpu) return GPU_IS_LOST;
    if (h.kind == HANDLE_GPU) return kinds & WHOLE ? OK : INVALID_ARGUMENT;
    for (int i = 0; i < call->gpu->migs; i++)
        if (strcmp(call->gpu->mig[i].uuid, h.uuid) == 0) call->mig = &call->gpu->mig[i];
    if (!call->mig) return INVALID_ARGUMENT; /* died with its compute instance */
    return kinds & MIG ? OK : NOT_SUPPORTED;
}

/* A MIG device's handle belongs to a slot of its GPU: asked for again, it means the slot's new tenant. */
static struct handle *handle_for(enum handle_kind kind, const char *parent, const char *uuid, int slot) {
    pthread_mutex_lock(&handles_lock);
    struct handle *h = handles;
    while (h < handles + MAX_HANDLES && h->kind != HANDLE_NONE && !(h->kind == kind && h->slot == slot && !strcmp(h->parent, parent))) h++;
    if (h == handles + MAX_HANDLES) abort();
    h->kind = kind;
    h->slot = slot;
    snprintf(h->parent, sizeof h->parent, "%s", parent);
    snprintf(h->uuid, sizeof h->uuid, "%s", uuid);
    pthread_mutex_unlock(&handles_lock);
    return h;
}

nvmlDevice_t handle_of_gpu(const struct gpu *g) { return handle_for(HANDLE_GPU, g->uuid, g->uuid, 0); }
nvmlDevice_t handle_of_mig(const struct gpu *g, const struct mig *m) { return handle_for(HANDLE_MIG, g->uuid, m->uuid, m->slot); }
nvmlGpuInstance_t handle_of_instance(const struct gpu *g, const struct mig *m) {
    return handle_for(HANDLE_INSTANCE, g->uuid, m->uuid, (int)m->gi);
}
