/* MIG: slots with holes, handles that die with their compute instance, profiles and where they may go. */
#include <stdio.h>
#include <string.h>

#include "calls.h"

NVML_API nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_mig_mode] == ABSENT) return NOT_SUPPORTED;
    *current = (unsigned)call.gpu->a[A_mig_mode];
    *pending = call.gpu->a[A_mig_pending] == ABSENT ? *current : (unsigned)call.gpu->a[A_mig_pending];
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count) {
    CALL_ON(device, WHOLE);
    *count = call.gpu->a[A_max_mig] == ABSENT ? 0 : (unsigned)call.gpu->a[A_max_mig];
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_mig) {
    CALL_ON(device, ANY);
    *is_mig = call.mig != NULL;
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *mig) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_mig_mode] == ABSENT) return NOT_SUPPORTED;
    if (call.gpu->a[A_mig_mode] == 0 || index >= (unsigned)call.gpu->a[A_max_mig]) return INVALID_ARGUMENT;
    for (int i = 0; i < call.gpu->migs; i++)
        if (call.gpu->mig[i].slot == (int)index) {
            *mig = handle_of_mig(call.gpu, &call.gpu->mig[i]);
            return OK;
        }
    return NOT_FOUND; /* a hole: others may follow */
}

NVML_API nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *parent) {
    CALL_ON(device, ANY);
    if (!call.mig) return INVALID_ARGUMENT;
    *parent = handle_of_gpu(call.gpu);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id) {
    CALL_ON(device, ANY);
    if (!call.mig) return NOT_SUPPORTED;
    *id = call.mig->gi;
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned *id) {
    CALL_ON(device, ANY);
    if (!call.mig) return NOT_SUPPORTED;
    *id = call.mig->ci;
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes) {
    CALL_ON(device, ANY);
    const struct mig *m = call.mig;
    if (!m) return NOT_SUPPORTED;
    *attributes = (nvmlDeviceAttributes_t){
        .multiprocessorCount = m->sm,
        .sharedCopyEngineCount = m->copy,
        .sharedDecoderCount = m->decoders,
        .sharedEncoderCount = m->encoders,
        .sharedJpegCount = m->jpegs,
        .sharedOfaCount = m->ofas,
        .gpuInstanceSliceCount = m->slices,
        .computeInstanceSliceCount = m->compute_slices,
        .memorySizeMB = m->memory_total >> 20,
    };
    return OK;
}

static const struct profile *profile_at(const struct gpu *g, unsigned index) {
    for (int i = 0; i < g->profiles; i++)
        if (g->profile[i].index == index) return &g->profile[i];
    return NULL;
}

static const struct profile *profile_by_id(const struct gpu *g, unsigned id) {
    for (int i = 0; i < g->profiles; i++)
        if (g->profile[i].id == id) return &g->profile[i];
    return NULL;
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t device, unsigned index, nvmlGpuInstanceProfileInfo_t *info) {
    CALL_ON(device, WHOLE);
    const struct profile *p = profile_at(call.gpu, index);
    if (!p) return NOT_SUPPORTED;
    *info = (nvmlGpuInstanceProfileInfo_t){
        p->id, 0, p->slices, p->instances, p->sm, p->copy, p->decoders, 0, p->jpegs, p->ofas, p->memory_mb,
    };
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoV(nvmlDevice_t device, unsigned index, nvmlGpuInstanceProfileInfo_v2_t *info) {
    CALL_ON(device, WHOLE);
    if (info->version != STRUCT_VERSION(nvmlGpuInstanceProfileInfo_v2_t, 2)) return VERSION_MISMATCH;
    const struct profile *p = profile_at(call.gpu, index);
    if (!p) return NOT_SUPPORTED;
    *info = (nvmlGpuInstanceProfileInfo_v2_t){
        info->version, p->id, 0, p->slices, p->instances, p->sm, p->copy, p->decoders, 0, p->jpegs, p->ofas, p->memory_mb, "",
    };
    snprintf(info->name, sizeof info->name, "MIG %s", p->name);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t device, unsigned profile_id,
                                                                    nvmlGpuInstancePlacement_t *placements, unsigned *count) {
    CALL_ON(device, WHOLE);
    const struct profile *p = profile_by_id(call.gpu, profile_id);
    if (!p) return NOT_SUPPORTED;
    unsigned room = *count;
    *count = p->placements;
    if (!placements) return OK;
    if (room < p->placements) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < p->placements; i++) placements[i] = (nvmlGpuInstancePlacement_t){p->start[i], p->size};
    return OK;
}

/* Greedily, as the driver itself would place them one after another. */
NVML_API nvmlReturn_t nvmlDeviceGetGpuInstanceRemainingCapacity(nvmlDevice_t device, unsigned profile_id, unsigned *count) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_mig_mode] != 1) return NOT_SUPPORTED;
    const struct profile *p = profile_by_id(call.gpu, profile_id);
    if (!p) return NOT_SUPPORTED;
    unsigned taken = 0;
    for (int i = 0; i < call.gpu->migs; i++)
        for (unsigned j = 0; j < call.gpu->mig[i].size; j++) taken |= 1u << (call.gpu->mig[i].start + j);
    *count = 0;
    for (unsigned i = 0; i < p->placements; i++) {
        unsigned wanted = ((1u << p->size) - 1) << p->start[i];
        if (taken & wanted) continue;
        taken |= wanted;
        ++*count;
    }
    return OK;
}

/* GPU instances are the administrator's to see. */
NVML_API nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t device, unsigned profile_id, nvmlGpuInstance_t *instances, unsigned *count) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_mig_mode] != 1) return NOT_SUPPORTED;
    if (!call.state->privileged) return NO_PERMISSION;
    *count = 0;
    for (int i = 0; i < call.gpu->migs; i++)
        if (call.gpu->mig[i].profile_id == profile_id) instances[(*count)++] = handle_of_instance(call.gpu, &call.gpu->mig[i]);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *instance) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_mig_mode] != 1) return NOT_SUPPORTED;
    if (!call.state->privileged) return NO_PERMISSION;
    for (int i = 0; i < call.gpu->migs; i++)
        if (call.gpu->mig[i].gi == id) {
            *instance = handle_of_instance(call.gpu, &call.gpu->mig[i]);
            return OK;
        }
    return NOT_FOUND;
}

NVML_API nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlGpuInstance_t instance, nvmlGpuInstanceInfo_t *info) {
    CALL_ON(instance, MIG);
    *info = (nvmlGpuInstanceInfo_t){
        .device = handle_of_gpu(call.gpu),
        .id = call.mig->gi,
        .profileId = call.mig->profile_id,
        .placement = {call.mig->start, call.mig->size},
    };
    return OK;
}
