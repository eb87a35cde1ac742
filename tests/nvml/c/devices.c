/* Who a device is and what it reads at this moment. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

static nvmlReturn_t number(const struct call *call, enum attribute attribute, unsigned *value) {
    if (!value) return INVALID_ARGUMENT;
    if (call->gpu->a[attribute] == ABSENT) return NOT_SUPPORTED;
    *value = (unsigned)call->gpu->a[attribute];
    return OK;
}

/* The unit functions that hand out one attribute of a whole GPU. */
#define NUMBER(function, attribute)                                    \
    NVML_API nvmlReturn_t function(nvmlDevice_t device, unsigned *value) { \
        CALL_ON(device, WHOLE);                                        \
        return number(&call, A_##attribute, value);                    \
    }

NUMBER(nvmlDeviceGetMinorNumber, minor)
NUMBER(nvmlDeviceGetArchitecture, architecture)
NUMBER(nvmlDeviceGetBrand, brand)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, power_enforced)
NUMBER(nvmlDeviceGetPowerManagementLimit, power_limit)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, power_default_limit)
NUMBER(nvmlDeviceGetPerformanceState, pstate)
NUMBER(nvmlDeviceGetPcieReplayCounter, pcie_replay)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, pcie_generation)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, pcie_width)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, pcie_max_generation)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, pcie_max_width)
NUMBER(nvmlDeviceGetPersistenceMode, persistence)
NUMBER(nvmlDeviceGetComputeMode, compute_mode)
NUMBER(nvmlDeviceGetAccountingMode, accounting)
NUMBER(nvmlDeviceGetHostVgpuMode, vgpu_mode)
NUMBER(nvmlDeviceGetFanSpeed, fan)
NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, retired_pending)

static nvmlReturn_t text(char *to, unsigned length, const char *from) {
    if (!to) return INVALID_ARGUMENT;
    if (!from[0]) return NOT_SUPPORTED;
    if (strlen(from) >= length) return INSUFFICIENT_SIZE;
    snprintf(to, length, "%s", from);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    CALL();
    *count = (unsigned)call.state->gpus;
    return OK;
}

static nvmlReturn_t hand_out(struct call *call, const struct gpu *gpu, nvmlDevice_t *device) {
    nvmlReturn_t rc = call_gpu_faults(call, gpu->uuid);
    if (rc == OK) *device = handle_of_gpu(gpu);
    return rc;
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    CALL();
    if (index >= (unsigned)call.state->gpus) return INVALID_ARGUMENT;
    return hand_out(&call, &call.state->gpu[index], device);
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    CALL();
    for (int i = 0; i < call.state->gpus; i++) {
        const struct gpu *g = &call.state->gpu[i];
        if (!strcmp(g->uuid, uuid)) return hand_out(&call, g, device);
        for (int j = 0; j < g->migs; j++)
            if (!strcmp(g->mig[j].uuid, uuid)) {
                *device = handle_of_mig(g, &g->mig[j]);
                return OK;
            }
    }
    return NOT_FOUND;
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device) {
    CALL();
    for (int i = 0; i < call.state->gpus; i++) {
        const char *own = call.state->gpu[i].bus_id; /* also found by the old spelling, whose domain has 4 digits */
        if (!strcmp(own, bus_id) || !strcmp(own + 4, bus_id)) return hand_out(&call, &call.state->gpu[i], device);
    }
    return NOT_FOUND;
}

NVML_API nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length) {
    CALL_ON(device, ANY);
    char full[160];
    if (call.mig) snprintf(full, sizeof full, "%s MIG %s", call.gpu->name, call.mig->profile);
    else snprintf(full, sizeof full, "%s", call.gpu->name);
    return text(name, length, full);
}

NVML_API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length) {
    CALL_ON(device, ANY);
    return text(uuid, length, call.mig ? call.mig->uuid : call.gpu->uuid);
}

NVML_API nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned length) {
    CALL_ON(device, WHOLE);
    return text(serial, length, call.gpu->serial);
}

NVML_API nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t device, char *version, unsigned length) {
    CALL_ON(device, WHOLE);
    return text(version, length, call.gpu->vbios);
}

NVML_API nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index) {
    CALL_ON(device, ANY);
    *index = call.mig ? (unsigned)call.mig->slot : (unsigned)(call.gpu - call.state->gpu);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci) {
    CALL_ON(device, WHOLE);
    memset(pci, 0, sizeof *pci);
    if (sscanf(call.gpu->bus_id, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device) != 3) return UNKNOWN;
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus & 0xFF, pci->device & 0xFF);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain & 0xFFFF, pci->bus & 0xFF, pci->device & 0xFF);
    pci->pciDeviceId = (unsigned)call.gpu->a[A_device_id];
    pci->pciSubSystemId = (unsigned)call.gpu->a[A_subsystem_id];
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor) {
    CALL_ON(device, WHOLE);
    *major = (int)call.gpu->a[A_cc_major];
    *minor = (int)call.gpu->a[A_cc_minor];
    return OK;
}

static int partitioned(const struct call *call) { return call->mig || call->gpu->a[A_mig_mode] == 1; }

NVML_API nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned *cores) {
    CALL_ON(device, ANY);
    return partitioned(&call) ? NOT_SUPPORTED : number(&call, A_cores, cores);
}

struct memory { u64 total, reserved, used; };
static struct memory memory_of(const struct call *call) {
    if (call->mig) return (struct memory){call->mig->memory_total, call->mig->memory_reserved, call->mig->memory_used};
    const int64_t *a = call->gpu->a;
    return (struct memory){(u64)a[A_memory_total], (u64)a[A_memory_reserved], (u64)a[A_memory_used]};
}

/* The first version has nowhere to show what the driver reserves, and counts it as used. */
NVML_API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    CALL_ON(device, ANY);
    struct memory m = memory_of(&call);
    *memory = (nvmlMemory_t){.total = m.total, .used = m.used + m.reserved, .free = m.total - m.used - m.reserved};
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    CALL_ON(device, ANY);
    if (memory->version != STRUCT_VERSION(nvmlMemory_v2_t, 2)) return VERSION_MISMATCH;
    struct memory m = memory_of(&call);
    memory->total = m.total;
    memory->reserved = m.reserved;
    memory->used = m.used;
    memory->free = m.total - m.used - m.reserved;
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_bar1_total] == ABSENT) return NOT_SUPPORTED;
    u64 total = (u64)call.gpu->a[A_bar1_total], used = (u64)call.gpu->a[A_bar1_used];
    *memory = (nvmlBAR1Memory_t){.total = total, .used = used, .free = total - used};
    return OK;
}

static unsigned percent(const struct call *call, enum channel channel) {
    return (unsigned)lround(level(&call->gpu->rate[channel]) * 100);
}

NVML_API nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
    CALL_ON(device, ANY);
    if (partitioned(&call) || !call.gpu->rate[C_gpu].present) return NOT_SUPPORTED;
    *rates = (nvmlUtilization_t){.gpu = percent(&call, C_gpu), .memory = percent(&call, C_memory)};
    return OK;
}

#define ENGINE(function, channel)                                                               \
    NVML_API nvmlReturn_t function(nvmlDevice_t device, unsigned *utilization, unsigned *period_us) { \
        CALL_ON(device, ANY);                                                                   \
        if (partitioned(&call) || !call.gpu->rate[channel].present) return NOT_SUPPORTED;       \
        *utilization = percent(&call, channel);                                                 \
        *period_us = 167000;                                                                    \
        return OK;                                                                              \
    }
ENGINE(nvmlDeviceGetEncoderUtilization, C_encoder)
ENGINE(nvmlDeviceGetDecoderUtilization, C_decoder)
ENGINE(nvmlDeviceGetJpgUtilization, C_jpeg)
ENGINE(nvmlDeviceGetOfaUtilization, C_ofa)

/* An average over one second from GA102 on, the moment's value on GA100 (compute 8.0) and older. */
NVML_API nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts) {
    CALL_ON(device, WHOLE);
    const struct channel_rate *power = &call.gpu->rate[C_power];
    if (!power->present) return NOT_SUPPORTED;
    int64_t now = now_ns(call.state), *a = call.gpu->a;
    int averages = a[A_cc_major] > 8 || (a[A_cc_major] == 8 && a[A_cc_minor] > 0);
    double watts = averages ? integral(power, now) - integral(power, now - 1000000000) : level(power);
    *milliwatts = (unsigned)llround(watts * 1000);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, u64 *millijoules) {
    CALL_ON(device, WHOLE);
    if (!call.gpu->rate[C_power].present) return NOT_SUPPORTED;
    *millijoules = (u64)(integral(&call.gpu->rate[C_power], now_ns(call.state)) * 1000);
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned *least, unsigned *most) {
    CALL_ON(device, WHOLE);
    nvmlReturn_t rc = number(&call, A_power_min_limit, least);
    return rc != OK ? rc : number(&call, A_power_max_limit, most);
}

NVML_API nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor, unsigned *celsius) {
    CALL_ON(device, WHOLE);
    return sensor != 0 ? INVALID_ARGUMENT : number(&call, A_temperature, celsius);
}

NVML_API nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_v1_t *temperature) {
    CALL_ON(device, WHOLE);
    if (temperature->version != STRUCT_VERSION(nvmlTemperature_v1_t, 1)) return VERSION_MISMATCH;
    if (temperature->sensorType != 0) return INVALID_ARGUMENT;
    return number(&call, A_temperature, (unsigned *)&temperature->temperature);
}

NVML_API nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, unsigned threshold, unsigned *celsius) {
    CALL_ON(device, WHOLE);
    static const enum attribute of[] = {A_threshold_shutdown, A_threshold_slowdown, A_threshold_memory, A_threshold_gpu};
    if (threshold > 7) return INVALID_ARGUMENT;
    return threshold > 3 ? NOT_SUPPORTED : number(&call, of[threshold], celsius);
}

NVML_API nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t device, nvmlMarginTemperature_v1_t *margin) {
    CALL_ON(device, WHOLE);
    if (margin->version != STRUCT_VERSION(nvmlMarginTemperature_v1_t, 1)) return VERSION_MISMATCH;
    return number(&call, A_margin, (unsigned *)&margin->marginTemperature);
}

static nvmlReturn_t clock_of(const struct call *call, const enum attribute *of, unsigned type, unsigned *mhz) {
    return type > 3 ? INVALID_ARGUMENT : number(call, of[type], mhz);
}

NVML_API nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned type, unsigned *mhz) {
    CALL_ON(device, WHOLE);
    static const enum attribute of[] = {A_clock_graphics, A_clock_sm, A_clock_memory, A_clock_video};
    return clock_of(&call, of, type, mhz);
}

NVML_API nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned type, unsigned *mhz) {
    CALL_ON(device, WHOLE);
    static const enum attribute of[] = {A_max_clock_graphics, A_max_clock_sm, A_max_clock_memory, A_max_clock_video};
    return clock_of(&call, of, type, mhz);
}

#define REASONS(function, value)                                      \
    NVML_API nvmlReturn_t function(nvmlDevice_t device, u64 *reasons) { \
        CALL_ON(device, WHOLE);                                       \
        if (call.gpu->a[A_clock_reasons] == ABSENT) return NOT_SUPPORTED; \
        *reasons = (u64)(value);                                      \
        return OK;                                                    \
    }
REASONS(nvmlDeviceGetCurrentClocksEventReasons, call.gpu->a[A_clock_reasons])
REASONS(nvmlDeviceGetCurrentClocksThrottleReasons, call.gpu->a[A_clock_reasons])
REASONS(nvmlDeviceGetSupportedClocksEventReasons, 0x1FF)
REASONS(nvmlDeviceGetSupportedClocksThrottleReasons, 0x1FF)

/* Both answers are measured over a window of 20 ms, in which the call blocks. */
NVML_API nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, unsigned counter, unsigned *kib_per_second) {
    CALL_ON(device, WHOLE);
    if (counter > 1) return INVALID_ARGUMENT;
    const struct channel_rate *rate = &call.gpu->rate[counter == 0 ? C_pcie_tx : C_pcie_rx];
    if (partitioned(&call) || !rate->present) return NOT_SUPPORTED;
    pause_ms(20);
    *kib_per_second = (unsigned)(level(rate) / 1024);
    return OK;
}

/* ------------------------------------------------------------------ health: ECC, rows, pages, links, fabric */

NVML_API nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    CALL_ON(device, WHOLE);
    nvmlReturn_t rc = number(&call, A_ecc, current);
    return rc != OK ? rc : number(&call, A_ecc_pending, pending);
}

NVML_API nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, unsigned type, unsigned counter, u64 *count) {
    CALL_ON(device, WHOLE);
    static const enum attribute of[2][2] = {{A_ecc_corrected_volatile, A_ecc_corrected_aggregate},
                                            {A_ecc_uncorrected_volatile, A_ecc_uncorrected_aggregate}};
    if (type > 1 || counter > 1) return INVALID_ARGUMENT;
    if (call.gpu->a[A_ecc] != 1) return NOT_SUPPORTED;
    *count = (u64)call.gpu->a[of[type][counter]];
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                                                unsigned *failure) {
    CALL_ON(device, WHOLE);
    nvmlReturn_t rc = number(&call, A_remapped_corrected, corrected);
    if (rc == OK) rc = number(&call, A_remapped_uncorrected, uncorrected);
    if (rc == OK) rc = number(&call, A_remap_pending, pending);
    return rc != OK ? rc : number(&call, A_remap_failure, failure);
}

/* Two calls: the first, with no room, says how many there are. Page addresses are made up, one a page. */
static nvmlReturn_t retired_pages(const struct call *call, unsigned cause, unsigned *count, u64 *addresses, u64 *times) {
    if (cause > 1) return INVALID_ARGUMENT;
    unsigned have = 0, room = *count;
    nvmlReturn_t rc = number(call, cause == 0 ? A_retired_single : A_retired_double, &have);
    if (rc != OK) return rc;
    *count = have;
    if (have > room || (have && !addresses)) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < have; i++) {
        addresses[i] = 0x1000 + i;
        if (times) times[i] = 1700000000000000ull + i;
    }
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, unsigned cause, unsigned *count, u64 *addresses) {
    CALL_ON(device, WHOLE);
    return retired_pages(&call, cause, count, addresses, NULL);
}

NVML_API nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, unsigned cause, unsigned *count, u64 *addresses, u64 *times) {
    CALL_ON(device, WHOLE);
    return retired_pages(&call, cause, count, addresses, times);
}

NVML_API nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned link, unsigned *active) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_nvlinks] == ABSENT) return NOT_SUPPORTED;
    if (link >= (unsigned)call.gpu->a[A_nvlinks]) return INVALID_ARGUMENT;
    *active = 1;
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned link, unsigned *version) {
    CALL_ON(device, WHOLE);
    if (call.gpu->a[A_nvlinks] == ABSENT) return NOT_SUPPORTED;
    return link >= (unsigned)call.gpu->a[A_nvlinks] ? INVALID_ARGUMENT : number(&call, A_nvlink_version, version);
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfo_v3_t *info) {
    CALL_ON(device, WHOLE);
    unsigned version = info->version;
    int third = version == STRUCT_VERSION(nvmlGpuFabricInfo_v3_t, 3);
    if (!third && version != STRUCT_VERSION(nvmlGpuFabricInfo_v2_t, 2)) return VERSION_MISMATCH;
    nvmlReturn_t rc = number(&call, A_fabric_state, &info->state);
    if (rc != OK) return rc;
    memset(info->clusterUuid, 0, sizeof info->clusterUuid);
    info->cliqueId = 0;
    info->healthMask = 0;
    if (third) info->healthSummary = 1;
    return number(&call, A_fabric_status, &info->status);
}
