/* What every call goes through: it is counted, faults asked for by the test are done to it, the library must be
 * initialised, and a device handle must still mean something. */
#ifndef FAKE_NVML_CALLS_H
#define FAKE_NVML_CALLS_H

#include <stdatomic.h>

#include "state.h"

enum handle_kind { HANDLE_NONE, HANDLE_GPU, HANDLE_MIG, HANDLE_INSTANCE };

struct call {
    const char *name;
    struct state *state;
    struct gpu *gpu; /* set by call_device */
    struct mig *mig; /* set by call_device when the handle is a MIG device's or a GPU instance's */
};

/* Opens the body of an exported function: counts it, applies faults that name no GPU, checks initialisation. */
#define CALL()                                                                   \
    static atomic_int slot_;                                                     \
    __attribute__((cleanup(call_end))) struct call call = {.name = __func__};    \
    do {                                                                         \
        nvmlReturn_t rc_ = call_begin(&call, &slot_, 1);                         \
        if (rc_ != OK) return rc_;                                               \
    } while (0)

/* The same for a function of a device: whole GPUs only, or MIG devices as well. */
#define CALL_ON(device, kinds)                                                   \
    CALL();                                                                      \
    do {                                                                         \
        nvmlReturn_t rc_ = call_device(&call, (device), (kinds));                \
        if (rc_ != OK) return rc_;                                               \
    } while (0)
enum { WHOLE = 1, MIG = 2, ANY = 3 };

nvmlReturn_t call_begin(struct call *call, atomic_int *slot, int needs_init);
nvmlReturn_t call_device(struct call *call, nvmlDevice_t handle, unsigned kinds);
nvmlReturn_t call_gpu_faults(struct call *call, const char *uuid);
void call_end(struct call *call);

/* The code of a fault that makes every call on this GPU fail (lost, reset required), or OK. */
nvmlReturn_t gpu_fault_on_everything(const struct state *state, const char *uuid);

nvmlDevice_t handle_of_gpu(const struct gpu *gpu);
nvmlDevice_t handle_of_mig(const struct gpu *gpu, const struct mig *mig);
nvmlGpuInstance_t handle_of_instance(const struct gpu *gpu, const struct mig *mig);

/* A library once initialised n times is shut down n times. */
void calls_initialised(int by);

u64 calls_generation(void); /* counts the rewrites of the state file */
void calls_live_gpm_samples(int by);
void calls_live_event_sets(int by);
void pause_ms(unsigned ms);

#endif
