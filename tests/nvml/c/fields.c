/* Field values: one call for many, and each says for itself whether it could be read. */
#include <math.h>
#include <stddef.h>

#include "calls.h"

#define ALL_LINKS 0xFFFFFFFFu

/* Fields that are one attribute: unsigned, but for the limits relative to slowdown (T.Limit). */
struct attribute_field { unsigned id; enum attribute attribute; };
static int is_signed(unsigned id) { return id >= 193 && id <= 196; }
static const struct attribute_field of_attribute[] = {
    {1, A_ecc},
    {2, A_ecc_pending},
    {29, A_retired_single},
    {30, A_retired_double},
    {31, A_retired_pending},
    {82, A_memory_temperature},
    {91, A_nvlinks},
    {94, A_pcie_replay},
    {142, A_remapped_corrected},
    {143, A_remapped_uncorrected},
    {144, A_remap_pending},
    {145, A_remap_failure},
    {187, A_power_min_limit},
    {188, A_power_max_limit},
    {189, A_power_default_limit},
    {190, A_power_limit},
    {193, A_tlimit_shutdown},
    {194, A_tlimit_slowdown},
    {195, A_tlimit_memory},
    {196, A_tlimit_gpu},
    {230, A_recovery_action},
};

/* Fields that grow with a channel, in `units` for each of the channel's unit-seconds. */
struct channel_field { unsigned id; enum channel channel; double units; };
static const struct channel_field of_channel[] = {
    {74, C_throttle_power, 1e9},
    {75, C_throttle_thermal, 1e9},
    {76, C_throttle_sync_boost, 1e9},
    {77, C_throttle_board_limit, 1e9},
    {78, C_throttle_low_utilization, 1e9},
    {79, C_throttle_reliability, 1e9},
    {80, C_throttle_app_clocks, 1e9},
    {81, C_throttle_base_clocks, 1e9},
    {83, C_power, 1e3},
    {191, C_power, 1e3},
    {138, C_nvlink_tx, 1.0 / 1024},
    {139, C_nvlink_rx, 1.0 / 1024},
    {140, C_nvlink_tx, 1.1 / 1024},
    {141, C_nvlink_rx, 1.1 / 1024},
    {197, C_pcie_tx, 1},
    {198, C_pcie_rx, 1},
    {202, C_nvlink_tx, 1},
    {204, C_nvlink_rx, 1},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int is_per_link(unsigned id) { return (id >= 138 && id <= 141) || id == 202 || id == 204; }

static nvmlReturn_t whole(nvmlFieldValue_t *v, unsigned type, u64 value) {
    v->valueType = type;
    if (type == TYPE_UINT) v->value.uiVal = (unsigned)value;
    else if (type == TYPE_INT) v->value.siVal = (int)value;
    else v->value.ullVal = value;
    return OK;
}

static nvmlReturn_t counter(const struct call *call, const struct channel_field *f, nvmlFieldValue_t *v) {
    const struct channel_rate *rate = &call->gpu->rate[f->channel];
    if (!rate->present) return NOT_SUPPORTED;
    double value = integral(rate, now_ns(call->state)) * f->units;
    if (is_per_link(f->id)) {
        int64_t links = call->gpu->a[A_nvlinks];
        /* 202 and 204 count on links of the fifth generation (version number 7), 138 to 141 on the older ones */
        int fifth = call->gpu->a[A_nvlink_version] >= 7;
        if (links == ABSENT || fifth != (f->id >= 202)) return NOT_SUPPORTED;
        if (v->scopeId != ALL_LINKS && v->scopeId >= (unsigned)links) return INVALID_ARGUMENT;
        if (v->scopeId != ALL_LINKS) value /= (double)links;
    }
    int64_t bits = call->gpu->a[A_pcie_wrap_bits];
    if ((f->id == 197 || f->id == 198) && bits != ABSENT) value = fmod(value, ldexp(1, (int)bits));
    return whole(v, TYPE_ULONGLONG, (u64)value);
}

static nvmlReturn_t ecc_total(const struct call *call, nvmlFieldValue_t *v) {
    static const enum attribute of[] = {A_ecc_corrected_volatile, A_ecc_uncorrected_volatile, A_ecc_corrected_aggregate,
                                        A_ecc_uncorrected_aggregate};
    if (call->gpu->a[A_ecc] != 1) return NOT_SUPPORTED;
    return whole(v, TYPE_ULONGLONG, (u64)call->gpu->a[of[v->fieldId - 3]]);
}

static nvmlReturn_t power(const struct call *call, nvmlFieldValue_t *v) {
    const struct channel_rate *rate = &call->gpu->rate[C_power];
    const int64_t *a = call->gpu->a, now = now_ns(call->state);
    int averages = a[A_cc_major] > 8 || (a[A_cc_major] == 8 && a[A_cc_minor] > 0);
    if (!rate->present || (v->fieldId == 185 && !averages)) return NOT_SUPPORTED;
    double watts = v->fieldId == 185 ? integral(rate, now) - integral(rate, now - 1000000000) : level(rate);
    return whole(v, TYPE_UINT, (u64)llround(watts * 1000));
}

/* A test may say what a field reads; scope 0xFFFFFFFF there stands for any scope. */
static const struct field *asked_for(const struct gpu *g, const nvmlFieldValue_t *v) {
    for (int i = 0; i < g->fields; i++)
        if (g->field[i].id == v->fieldId && (g->field[i].scope == ALL_LINKS || g->field[i].scope == v->scopeId)) return &g->field[i];
    return NULL;
}

static nvmlReturn_t override(const struct field *f, nvmlFieldValue_t *v) {
    if (f->code != OK) return f->code;
    if (f->type != TYPE_DOUBLE) return whole(v, f->type, f->whole);
    v->valueType = TYPE_DOUBLE;
    v->value.dVal = f->number;
    return OK;
}

static nvmlReturn_t read_one(const struct call *call, nvmlFieldValue_t *v) {
    const struct field *asked = asked_for(call->gpu, v);
    if (asked) return override(asked, v);
    if (v->fieldId == 0 || v->fieldId > call->state->field_max) return INVALID_ARGUMENT; /* this driver has no such field */
    if (v->fieldId >= 3 && v->fieldId <= 6) return ecc_total(call, v);
    if (v->fieldId == 185 || v->fieldId == 186) return power(call, v);
    for (size_t i = 0; i < COUNT(of_channel); i++)
        if (of_channel[i].id == v->fieldId) return counter(call, &of_channel[i], v);
    for (size_t i = 0; i < COUNT(of_attribute); i++)
        if (of_attribute[i].id == v->fieldId) {
            int64_t value = call->gpu->a[of_attribute[i].attribute];
            return value == ABSENT ? NOT_SUPPORTED : whole(v, is_signed(v->fieldId) ? TYPE_INT : TYPE_UINT, (u64)value);
        }
    return NOT_SUPPORTED;
}

NVML_API nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values) {
    CALL_ON(device, WHOLE);
    if (count <= 0 || !values) return INVALID_ARGUMENT;
    for (int i = 0; i < count; i++) {
        values[i].timestamp = wall_us(call.state);
        values[i].latencyUsec = 0;
        values[i].nvmlReturn = read_one(&call, &values[i]);
    }
    return OK;
}

NVML_API nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t device, unsigned policy, nvmlViolationTime_t *time) {
    CALL_ON(device, WHOLE);
    if (policy > 11 || (policy > 5 && policy < 10)) return INVALID_ARGUMENT;
    enum channel channel = policy < 10 ? C_throttle_power + policy : C_throttle_app_clocks + (policy - 10);
    if (!call.gpu->rate[channel].present) return NOT_SUPPORTED;
    time->referenceTime = (u64)wall_us(call.state);
    time->violationTime = (u64)(integral(&call.gpu->rate[channel], now_ns(call.state)) * 1e9);
    return OK;
}
