/* GPU performance monitoring. A sample keeps the integral of every channel at its moment; a metric is the exact
 * mean between two samples, so that a client's arithmetic can be compared with what was asked for. */
#include <stdlib.h>
#include <string.h>

#include "calls.h"

#define LEAST_INTERVAL_NS 100000000 /* the hardware's own refresh: closer samples hold the same counters */

struct gpm_sample { char scope[96]; int64_t at_ns; double total[C_COUNT]; int present[C_COUNT]; };

struct metric { unsigned id; enum channel channel; double scale; char *unit; };
#define MEBIBYTE (1.0 / (1 << 20))
static const struct metric metrics[] = {
    {1, C_graphics, 100, "%"},       {2, C_sm, 100, "%"},           {3, C_occupancy, 100, "%"},     {4, C_integer, 100, "%"},
    {5, C_tensor, 100, "%"},         {6, C_tensor_dfma, 100, "%"},  {7, C_tensor_hmma, 100, "%"},   {8, C_tensor_dmma, 100, "%"},
    {9, C_tensor_imma, 100, "%"},    {10, C_dram, 100, "%"},        {11, C_fp64, 100, "%"},         {12, C_fp32, 100, "%"},
    {13, C_fp16, 100, "%"},          {20, C_pcie_tx, MEBIBYTE, "MiB/s"}, {21, C_pcie_rx, MEBIBYTE, "MiB/s"},
    {30, C_decoder, 100, "%"},       {40, C_jpeg, 100, "%"},        {50, C_ofa, 100, "%"},
    {60, C_nvlink_rx, MEBIBYTE, "MiB/s"}, {61, C_nvlink_tx, MEBIBYTE, "MiB/s"},
};

static nvmlReturn_t supported(const struct call *call) { return call->gpu->a[A_gpm] == 1 ? OK : NOT_SUPPORTED; }

NVML_API nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support) {
    CALL_ON(device, ANY);
    if (support->version != 1) return VERSION_MISMATCH;
    support->isSupportedDevice = supported(&call) == OK;
    return OK;
}

NVML_API nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample) {
    CALL();
    *sample = calloc(1, sizeof **sample);
    if (!*sample) abort();
    calls_live_gpm_samples(1);
    return OK;
}

NVML_API nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample) {
    CALL();
    if (!sample) return INVALID_ARGUMENT;
    free(sample);
    calls_live_gpm_samples(-1);
    return OK;
}

static nvmlReturn_t take(const struct call *call, const struct channel_rate *rates, const char *scope, nvmlGpmSample_t sample) {
    nvmlReturn_t rc = supported(call);
    if (rc != OK) return rc;
    if (!sample) return INVALID_ARGUMENT;
    strcpy(sample->scope, scope); /* both are [96] */
    sample->at_ns = now_ns(call->state);
    for (int i = 0; i < C_COUNT; i++) {
        sample->present[i] = rates[i].present;
        sample->total[i] = integral(&rates[i], sample->at_ns);
    }
    return OK;
}

NVML_API nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample) {
    CALL_ON(device, ANY);
    return call.mig ? take(&call, call.mig->rate, call.mig->uuid, sample) : take(&call, call.gpu->rate, call.gpu->uuid, sample);
}

NVML_API nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned instance, nvmlGpmSample_t sample) {
    CALL_ON(device, WHOLE);
    for (int i = 0; i < call.gpu->migs; i++)
        if (call.gpu->mig[i].gi == instance) return take(&call, call.gpu->mig[i].rate, call.gpu->mig[i].uuid, sample);
    return NOT_FOUND;
}

static void measure(const struct gpm_sample *from, const struct gpm_sample *to, nvmlGpmMetric_t *m) {
    m->nvmlReturn = NOT_SUPPORTED;
    m->metricInfo.shortName = m->metricInfo.longName = m->metricInfo.unit = NULL;
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        enum channel channel = metrics[i].channel;
        if (metrics[i].id != m->metricId || !from->present[channel]) continue;
        double seconds = (double)(to->at_ns - from->at_ns) / 1e9;
        m->value = (to->total[channel] - from->total[channel]) / seconds * metrics[i].scale;
        m->metricInfo.unit = metrics[i].unit;
        m->nvmlReturn = OK;
    }
}

NVML_API nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *get) {
    CALL();
    if (get->version != 1) return VERSION_MISMATCH;
    const struct gpm_sample *from = get->sample1, *to = get->sample2;
    if (!from || !to || !from->scope[0] || strcmp(from->scope, to->scope) != 0) return INVALID_ARGUMENT;
    if (to->at_ns - from->at_ns < LEAST_INTERVAL_NS) return INVALID_ARGUMENT;
    for (unsigned i = 0; i < get->numMetrics; i++) measure(from, to, &get->metrics[i]);
    return OK;
}
