#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calls.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct state *current;

static const char *const attribute_names[] = {
#define X(name) #name,
    ATTRIBUTES(X)
#undef X
};
static const char *const channel_names[] = {
#define X(name) #name,
    CHANNELS(X)
#undef X
};

static int index_of(const char *const *names, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

/* A line that cannot be read is a fault of the test's own driver: say it, never go on with half a state. */
static void refuse(const char *line) {
    fprintf(stderr, "fake NVML: cannot read the state line: %s\n", line);
    abort();
}

static void copy_rest(char *to, size_t size, const char *rest) { snprintf(to, size, "%s", rest); }

static void read_system(struct state *s, const char *key, const char *rest) {
    if (!strcmp(key, "driver_version")) copy_rest(s->driver_version, sizeof s->driver_version, rest);
    else if (!strcmp(key, "nvml_version")) copy_rest(s->nvml_version, sizeof s->nvml_version, rest);
    else if (!strcmp(key, "cuda_version")) s->cuda_version = atoi(rest);
    else if (!strcmp(key, "privileged")) s->privileged = atoi(rest);
    else if (!strcmp(key, "field_max")) s->field_max = (unsigned)strtoul(rest, NULL, 10);
    else if (!strcmp(key, "driver_epoch")) s->driver_epoch = strtoull(rest, NULL, 10);
    else if (!strcmp(key, "clock_ns")) s->clock_ns = strtoll(rest, NULL, 10);
    else if (!strcmp(key, "wall_offset_us")) s->wall_offset_us = strtoll(rest, NULL, 10);
    else refuse(key);
}

static void read_profile(struct gpu *g, const char *rest) {
    if (g->profiles == MAX_PROFILES) refuse(rest);
    struct profile *p = &g->profile[g->profiles++];
    char starts[64];
    if (sscanf(rest, "%u %u %u %u %u %u %u %u %u %u %llu %63s %31s", &p->index, &p->id, &p->slices, &p->instances, &p->sm,
               &p->copy, &p->decoders, &p->jpegs, &p->ofas, &p->size, &p->memory_mb, starts, p->name) != 13)
        refuse(rest);
    char *save = NULL;
    for (char *t = strtok_r(starts, ",", &save); t && p->placements < MAX_PLACEMENTS; t = strtok_r(NULL, ",", &save))
        p->start[p->placements++] = (unsigned)strtoul(t, NULL, 10);
}

static void read_mig(struct gpu *g, const char *rest) {
    if (g->migs == MAX_MIG) refuse(rest);
    struct mig *m = &g->mig[g->migs++];
    if (sscanf(rest, "%d %u %u %u %u %u %u %u %u %u %u %u %u %u %llu %llu %llu %95s %31s", &m->slot, &m->gi, &m->ci,
               &m->profile_id, &m->slices, &m->compute_slices, &m->sm, &m->copy, &m->decoders, &m->encoders, &m->jpegs,
               &m->ofas, &m->start, &m->size, &m->memory_total, &m->memory_reserved, &m->memory_used, m->uuid,
               m->profile) != 19)
        refuse(rest);
}

static void read_process(struct gpu *g, const char *rest) {
    if (g->processes == MAX_PROCESSES) refuse(rest);
    struct process *p = &g->process[g->processes++];
    long long start;
    if (sscanf(rest, "%u %c %llu %u %u %u %u %u %u %u %u %lld %63[^\n]", &p->pid, &p->kind, &p->memory, &p->gi, &p->ci, &p->sm,
               &p->mem, &p->enc, &p->dec, &p->jpg, &p->ofa, &start, p->name) != 13)
        refuse(rest);
    p->start_us = start;
}

static void read_sample(struct gpu *g, const char *rest) {
    if (g->samples == MAX_SAMPLES) refuse(rest);
    struct sample *p = &g->sample[g->samples++];
    if (sscanf(rest, "%u %llu %u %u %u %u %u %u", &p->pid, &p->timestamp, &p->sm, &p->mem, &p->enc, &p->dec, &p->jpg,
               &p->ofa) != 8)
        refuse(rest);
}

static void read_field(struct gpu *g, const char *rest) {
    if (g->fields == MAX_FIELDS) refuse(rest);
    struct field *f = &g->field[g->fields++];
    if (sscanf(rest, "%u %u %u %u %llu %lf", &f->id, &f->scope, &f->type, &f->code, &f->whole, &f->number) != 6) refuse(rest);
}

static void read_rate(struct gpu *g, const char *rest) {
    int mig, channel;
    char name[32];
    double before, after, total;
    long long since;
    if (sscanf(rest, "%d %31s %lf %lf %lld %lf", &mig, name, &before, &after, &since, &total) != 6) refuse(rest);
    channel = index_of(channel_names, C_COUNT, name);
    if (channel < 0 || mig >= g->migs) refuse(rest);
    struct channel_rate *r = mig < 0 ? &g->rate[channel] : &g->mig[mig].rate[channel];
    *r = (struct channel_rate){.present = 1, .before = before, .after = after, .total = total, .since = since};
}

static void read_gpu(struct state *s, const char *line) {
    int number, used = 0;
    char key[32];
    if (sscanf(line, "%d %31s %n", &number, key, &used) != 2 || number < 0 || number >= MAX_GPUS) refuse(line);
    struct gpu *g = &s->gpu[number];
    const char *rest = line + used;
    if (number >= s->gpus) {
        s->gpus = number + 1;
        for (int i = 0; i < A_COUNT; i++) g->a[i] = ABSENT;
    }
    if (!strcmp(key, "uuid")) copy_rest(g->uuid, sizeof g->uuid, rest);
    else if (!strcmp(key, "name")) copy_rest(g->name, sizeof g->name, rest);
    else if (!strcmp(key, "serial")) copy_rest(g->serial, sizeof g->serial, rest);
    else if (!strcmp(key, "bus_id")) copy_rest(g->bus_id, sizeof g->bus_id, rest);
    else if (!strcmp(key, "vbios")) copy_rest(g->vbios, sizeof g->vbios, rest);
    else if (!strcmp(key, "profile")) read_profile(g, rest);
    else if (!strcmp(key, "mig")) read_mig(g, rest);
    else if (!strcmp(key, "process")) read_process(g, rest);
    else if (!strcmp(key, "sample")) read_sample(g, rest);
    else if (!strcmp(key, "field")) read_field(g, rest);
    else if (!strcmp(key, "rate")) read_rate(g, rest);
    else {
        int attribute = index_of(attribute_names, A_COUNT, key);
        if (attribute < 0) refuse(line);
        g->a[attribute] = strtoll(rest, NULL, 10);
    }
}

static void read_event(struct state *s, const char *rest) {
    if (s->events == MAX_EVENTS) refuse(rest);
    struct event *e = &s->event[s->events++];
    if (sscanf(rest, "%llu %llu %llu %u %u %95s", &e->sequence, &e->type, &e->data, &e->gi, &e->ci, e->uuid) != 6) refuse(rest);
}

static void read_fault(struct state *s, const char *rest) {
    if (s->faults == MAX_FAULTS) refuse(rest);
    struct fault *f = &s->fault[s->faults++];
    unsigned kind;
    if (sscanf(rest, "%63s %95s %u %u", f->function, f->uuid, &kind, &f->value) != 4 || kind > FAULT_SLOW) refuse(rest);
    f->kind = (enum fault_kind)kind;
}

static void read_line(struct state *s, char *line) {
    line[strcspn(line, "\n")] = '\0';
    char word[32];
    int used = 0;
    if (sscanf(line, "%31s %n", word, &used) != 1) return;
    if (!strcmp(word, "gpu")) read_gpu(s, line + used);
    else if (!strcmp(word, "event")) read_event(s, line + used);
    else if (!strcmp(word, "fault")) read_fault(s, line + used);
    else if (!strcmp(word, "system")) {
        char key[32];
        int offset = 0;
        if (sscanf(line + used, "%31s %n", key, &offset) != 1) refuse(line);
        read_system(s, key, line + used + offset);
    } else refuse(line);
}

static struct state *read_file(u64 generation) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) return NULL;
    struct state *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->references = 1;
    s->generation = generation;
    s->clock_ns = ABSENT;
    char line[512];
    while (fgets(line, sizeof line, file)) read_line(s, line);
    fclose(file);
    return s;
}

static void drop(struct state *s) {
    if (s && --s->references == 0) free(s);
}

struct state *state_acquire(void) {
    u64 generation = calls_generation();
    pthread_mutex_lock(&lock);
    if (!current || current->generation != generation) {
        struct state *fresh = read_file(generation);
        if (fresh) {
            drop(current);
            current = fresh;
        }
    }
    struct state *s = current;
    if (s) s->references++;
    pthread_mutex_unlock(&lock);
    return s;
}

void state_release(struct state *s) {
    pthread_mutex_lock(&lock);
    drop(s);
    pthread_mutex_unlock(&lock);
}

__attribute__((destructor)) static void forget(void) { state_release(current); }

static int64_t clock_read(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(const struct state *s) { return s->clock_ns != ABSENT ? s->clock_ns : clock_read(CLOCK_MONOTONIC); }

int64_t wall_us(const struct state *s) {
    return s->clock_ns != ABSENT ? s->clock_ns / 1000 + s->wall_offset_us : clock_read(CLOCK_REALTIME) / 1000;
}

double integral(const struct channel_rate *r, int64_t at_ns) {
    double seconds = (double)(at_ns - r->since) / 1e9;
    return r->total + seconds * (seconds < 0 ? r->before : r->after);
}

double level(const struct channel_rate *r) { return r->after; }
