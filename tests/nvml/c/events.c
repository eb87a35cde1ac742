/* Events: a set hears of what happens to its devices after they were registered with it, each thing once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <time.h>

#include "calls.h"

struct registration { char uuid[96]; u64 types, since; };
struct event_set { pthread_mutex_t lock; int registrations; u64 delivered; struct registration of[MAX_GPUS]; };

NVML_API nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    CALL();
    *set = calloc(1, sizeof **set);
    if (!*set) abort();
    pthread_mutex_init(&(*set)->lock, NULL);
    calls_live_event_sets(1);
    return OK;
}

NVML_API nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    CALL();
    if (!set) return INVALID_ARGUMENT;
    free(set);
    calls_live_event_sets(-1);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, u64 *types) {
    CALL_ON(device, WHOLE);
    *types = call.gpu->a[A_event_types] == ABSENT ? 0 : (u64)call.gpu->a[A_event_types];
    return OK;
}

static u64 newest(const struct state *s) {
    u64 sequence = 0;
    for (int i = 0; i < s->events; i++)
        if (s->event[i].sequence > sequence) sequence = s->event[i].sequence;
    return sequence;
}

NVML_API nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, u64 types, nvmlEventSet_t set) {
    CALL_ON(device, WHOLE); /* a MIG device cannot register: its events come with its parent's */
    if (!set) return INVALID_ARGUMENT;
    if (call.gpu->a[A_event_types] == ABSENT || types & ~(u64)call.gpu->a[A_event_types]) return NOT_SUPPORTED;
    pthread_mutex_lock(&set->lock);
    int i = 0;
    while (i < set->registrations && strcmp(set->of[i].uuid, call.gpu->uuid) != 0) i++;
    nvmlReturn_t rc = i < MAX_GPUS ? OK : INVALID_ARGUMENT;
    if (rc == OK) {
        if (i == set->registrations) {
            set->registrations++;
            snprintf(set->of[i].uuid, sizeof set->of[i].uuid, "%s", call.gpu->uuid);
            set->of[i].since = newest(call.state);
        }
        set->of[i].types |= types;
    }
    pthread_mutex_unlock(&set->lock);
    return rc;
}

static const struct event *next_event(const struct state *s, struct event_set *set) {
    for (int i = 0; i < s->events; i++) {
        const struct event *e = &s->event[i];
        for (int j = 0; j < set->registrations && e->sequence > set->delivered; j++)
            if (!strcmp(set->of[j].uuid, e->uuid) && set->of[j].types & e->type && e->sequence > set->of[j].since) return e;
    }
    return NULL;
}

static nvmlReturn_t look(const struct state *s, struct event_set *set, nvmlEventData_t *data) {
    const struct event *e = next_event(s, set);
    if (e) {
        const struct gpu *g = NULL;
        for (int i = 0; i < s->gpus; i++)
            if (!strcmp(s->gpu[i].uuid, e->uuid)) g = &s->gpu[i];
        *data = (nvmlEventData_t){g ? handle_of_gpu(g) : NULL, e->type, e->data, e->gi, e->ci};
        set->delivered = e->sequence;
        return OK;
    }
    for (int i = 0; i < set->registrations; i++)
        if (gpu_fault_on_everything(s, set->of[i].uuid) == GPU_IS_LOST) return GPU_IS_LOST;
    return TIMEOUT;
}

static int64_t milliseconds(void) { /* of waiting: real time even where the test owns the clock */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

NVML_API nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned timeout_ms) {
    CALL();
    if (!set || !data) return INVALID_ARGUMENT;
    int64_t until = milliseconds() + timeout_ms;
    for (;;) {
        pthread_mutex_lock(&set->lock);
        nvmlReturn_t rc = look(call.state, set, data);
        pthread_mutex_unlock(&set->lock);
        if (rc != TIMEOUT || milliseconds() >= until) return rc;
        pause_ms(2);
        state_release(call.state);
        call.state = state_acquire();
    }
}
