/* Processes on a device: the lists, asked for in two calls, and the samples of what each used. */
#include <stddef.h>

#include "calls.h"

static int listed(const struct call *call, const struct process *p, char kind) {
    return p->kind == kind && (!call->mig || p->gi == call->mig->gi);
}

/* With too little room the call says how much it wants. What it wants may have grown by the next call. */
static nvmlReturn_t list(const struct call *call, char kind, unsigned *count, void *infos, int first_version) {
    const struct gpu *g = call->gpu;
    if (g->a[A_mig_mode] == 1 && !call->mig && !call->state->privileged) return NO_PERMISSION;
    unsigned have = 0, room = *count;
    for (int i = 0; i < g->processes; i++) have += (unsigned)listed(call, &g->process[i], kind);
    unsigned hidden = room == 0 && g->a[A_hidden_from_probe] != ABSENT ? (unsigned)g->a[A_hidden_from_probe] : 0;
    *count = hidden < have ? have - hidden : have;
    if (have > room || (have && !infos)) return INSUFFICIENT_SIZE;
    unsigned n = 0;
    for (int i = 0; i < g->processes; i++) {
        const struct process *p = &g->process[i];
        if (!listed(call, p, kind)) continue;
        if (first_version) ((nvmlProcessInfo_v1_t *)infos)[n++] = (nvmlProcessInfo_v1_t){p->pid, p->memory};
        else ((nvmlProcessInfo_t *)infos)[n++] = (nvmlProcessInfo_t){p->pid, p->memory, p->gi, p->ci};
    }
    return OK;
}

#define PROCESSES(function, kind, first_version)                                           \
    NVML_API nvmlReturn_t function(nvmlDevice_t device, unsigned *count, void *infos) {    \
        CALL_ON(device, ANY);                                                              \
        return count ? list(&call, kind, count, infos, first_version) : INVALID_ARGUMENT; \
    }
PROCESSES(nvmlDeviceGetComputeRunningProcesses, 'c', 1)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, 'c', 0)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, 'c', 0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, 'g', 1)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, 'g', 0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, 'g', 0)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses, 'm', 1)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2, 'm', 0)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, 'm', 0)

/* The driver's buffer: what the test wrote down, and for each busy process one sample a period, the last 20. */
#define KEPT 20
typedef void (*take_sample)(void *to, unsigned at, const struct sample *sample);

static unsigned generated(const struct call *call, const struct process *p, u64 after, void *to, unsigned at, take_sample take) {
    if (p->sm + p->mem + p->enc + p->dec + p->jpg + p->ofa == 0) return 0; /* only processes that did something */
    int64_t period = call->gpu->a[A_sample_period_us] == ABSENT ? 1000000 : call->gpu->a[A_sample_period_us];
    int64_t last = wall_us(call->state) / period;
    unsigned n = 0;
    for (int64_t tick = last - KEPT + 1; tick <= last; tick++) {
        u64 stamp = (u64)(tick * period);
        if (stamp <= after || tick * period <= p->start_us) continue;
        struct sample s = {p->pid, p->sm, p->mem, p->enc, p->dec, p->jpg, p->ofa, stamp};
        if (to) take(to, at + n, &s);
        n++;
    }
    return n;
}

static unsigned samples(const struct call *call, u64 after, void *to, take_sample take) {
    unsigned n = 0;
    for (int i = 0; i < call->gpu->samples; i++) {
        if (call->gpu->sample[i].timestamp <= after) continue;
        if (to) take(to, n, &call->gpu->sample[i]);
        n++;
    }
    for (int i = 0; i < call->gpu->processes; i++) n += generated(call, &call->gpu->process[i], after, to, n, take);
    return n;
}

static void take_first(void *to, unsigned at, const struct sample *s) {
    ((nvmlProcessUtilizationSample_t *)to)[at] = (nvmlProcessUtilizationSample_t){s->pid, s->timestamp, s->sm, s->mem, s->enc, s->dec};
}

static void take_info(void *to, unsigned at, const struct sample *s) {
    ((nvmlProcessUtilizationInfo_v1_t *)to)[at] =
        (nvmlProcessUtilizationInfo_v1_t){s->timestamp, s->pid, s->sm, s->mem, s->enc, s->dec, s->jpg, s->ofa};
}

static nvmlReturn_t utilization(const struct call *call, u64 after, unsigned *count, void *to, take_sample take) {
    if (call->mig || call->gpu->a[A_mig_mode] == 1) return NOT_SUPPORTED;
    unsigned have = samples(call, after, NULL, take), room = *count;
    *count = have;
    if (have == 0) return NOT_FOUND;
    if (!to || room < have) return INSUFFICIENT_SIZE;
    samples(call, after, to, take);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *to, unsigned *count,
                                                      u64 last_seen) {
    CALL_ON(device, ANY);
    return utilization(&call, last_seen, count, to, take_first);
}

NVML_API nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device, nvmlProcessesUtilizationInfo_v1_t *info) {
    CALL_ON(device, ANY);
    if (info->version != STRUCT_VERSION(nvmlProcessesUtilizationInfo_v1_t, 1)) return VERSION_MISMATCH;
    return utilization(&call, info->lastSeenTimeStamp, &info->processSamplesCount, info->procUtilArray, take_info);
}
