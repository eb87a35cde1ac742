/* What the driver would know, read from the state file. A snapshot never changes once read: a call holds one
 * from its start to its end, so that it sees one moment even while a test rewrites the file. */
#ifndef FAKE_NVML_STATE_H
#define FAKE_NVML_STATE_H

#include "abi.h"

#define MAX_GPUS 16
#define MAX_MIG 8
#define MAX_PROFILES 12
#define MAX_PROCESSES 64
#define MAX_SAMPLES 256
#define MAX_FIELDS 64
#define MAX_EVENTS 256
#define MAX_FAULTS 64
#define MAX_PLACEMENTS 8

/* Whole numbers of a GPU; one that the file leaves out is not supported by that board. */
#define ATTRIBUTES(X)                                                                                          \
    X(minor) X(architecture) X(cc_major) X(cc_minor) X(cores) X(brand) X(device_id) X(subsystem_id)            \
    X(memory_total) X(memory_reserved) X(memory_used) X(bar1_total) X(bar1_used)                               \
    X(power_limit) X(power_enforced) X(power_min_limit) X(power_max_limit) X(power_default_limit)              \
    X(temperature) X(memory_temperature) X(threshold_shutdown) X(threshold_slowdown) X(threshold_memory)       \
    X(threshold_gpu) X(margin) X(tlimit_shutdown) X(tlimit_slowdown) X(tlimit_memory) X(tlimit_gpu)            \
    X(clock_graphics) X(clock_sm) X(clock_memory) X(clock_video)                                               \
    X(max_clock_graphics) X(max_clock_sm) X(max_clock_memory) X(max_clock_video)                               \
    X(pstate) X(clock_reasons) X(fan) X(ecc) X(ecc_pending)                                                    \
    X(ecc_corrected_volatile) X(ecc_corrected_aggregate) X(ecc_uncorrected_volatile)                           \
    X(ecc_uncorrected_aggregate) X(remapped_corrected) X(remapped_uncorrected) X(remap_pending)                \
    X(remap_failure) X(retired_single) X(retired_double) X(retired_pending)                                    \
    X(pcie_replay) X(pcie_generation) X(pcie_width) X(pcie_max_generation) X(pcie_max_width) X(pcie_wrap_bits) \
    X(nvlinks) X(nvlink_version) X(mig_mode) X(mig_pending) X(max_mig) X(gpm) X(persistence) X(compute_mode)   \
    X(accounting) X(vgpu_mode) X(event_types) X(recovery_action) X(fabric_state) X(fabric_status)              \
    X(sample_period_us) X(hidden_from_probe)

enum attribute {
#define X(name) A_##name,
    ATTRIBUTES(X)
#undef X
        A_COUNT
};
#define ABSENT INT64_MIN

/* Quantities that vary with time: a level and, integrated over time, a counter. Ratios are 0..1, transfer in
 * bytes a second, power in watts, throttle_* the share of the time that the reason held. */
#define CHANNELS(X)                                                                                     \
    X(gpu) X(memory) X(encoder) X(decoder) X(jpeg) X(ofa)                                               \
    X(graphics) X(sm) X(occupancy) X(integer) X(tensor) X(tensor_dfma) X(tensor_hmma) X(tensor_dmma)    \
    X(tensor_imma) X(dram) X(fp64) X(fp32) X(fp16) X(pcie_tx) X(pcie_rx) X(nvlink_tx) X(nvlink_rx)      \
    X(power) X(throttle_power) X(throttle_thermal) X(throttle_sync_boost) X(throttle_board_limit)       \
    X(throttle_low_utilization) X(throttle_reliability) X(throttle_app_clocks) X(throttle_base_clocks)

enum channel {
#define X(name) C_##name,
    CHANNELS(X)
#undef X
        C_COUNT
};

/* Level `before` until the moment `since` (monotonic ns), `after` from it on; `total` is the integral at `since`.
 * The driver puts `since` a little ahead, so that a counter stays continuous whoever reads it meanwhile. */
struct channel_rate { int present; double before, after, total; int64_t since; };

struct mig {
    int slot;
    unsigned gi, ci, profile_id, slices, compute_slices, sm, copy, decoders, encoders, jpegs, ofas, start, size;
    u64 memory_total, memory_reserved, memory_used;
    char uuid[96], profile[32];
    struct channel_rate rate[C_COUNT];
};

struct profile {
    unsigned index, id, slices, instances, sm, copy, decoders, jpegs, ofas, size, placements;
    unsigned start[MAX_PLACEMENTS];
    u64 memory_mb;
    char name[32];
};

struct process {
    unsigned pid, gi, ci;
    char kind; /* c compute, g graphics, m MPS */
    u64 memory;
    unsigned sm, mem, enc, dec, jpg, ofa; /* per cent, sampled once in each sample period since start */
    int64_t start_us;
    char name[64];
};

struct sample { unsigned pid, sm, mem, enc, dec, jpg, ofa; u64 timestamp; };
struct field { unsigned id, scope, type, code; double number; u64 whole; };

struct gpu {
    char uuid[96], name[96], serial[32], bus_id[32], vbios[32];
    int64_t a[A_COUNT];
    struct channel_rate rate[C_COUNT];
    struct mig mig[MAX_MIG];
    struct profile profile[MAX_PROFILES];
    struct process process[MAX_PROCESSES];
    struct sample sample[MAX_SAMPLES];
    struct field field[MAX_FIELDS];
    int migs, profiles, processes, samples, fields;
};

struct event { u64 sequence, type, data; unsigned gi, ci; char uuid[96]; };

enum fault_kind { FAULT_RETURN, FAULT_HANG, FAULT_STALL, FAULT_SLOW };
struct fault { char function[64], uuid[96]; enum fault_kind kind; unsigned value; };

struct state {
    int references;
    u64 generation;
    char driver_version[80], nvml_version[80];
    int cuda_version, privileged;
    unsigned field_max;
    u64 driver_epoch;
    int64_t clock_ns, wall_offset_us; /* clock_ns is ABSENT when time is the system's */
    int gpus, events, faults;
    struct gpu gpu[MAX_GPUS];
    struct event event[MAX_EVENTS];
    struct fault fault[MAX_FAULTS];
};

struct state *state_acquire(void); /* NULL when there is no readable state file */
void state_release(struct state *state);

int64_t now_ns(const struct state *state);  /* monotonic */
int64_t wall_us(const struct state *state); /* CPU time stamps of samples and fields */

double integral(const struct channel_rate *rate, int64_t at_ns);
double level(const struct channel_rate *rate);

#endif
