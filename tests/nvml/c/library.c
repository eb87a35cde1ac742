/* The library itself and the system: start, stop, versions, names of errors. */
#include <stdio.h>
#include <string.h>

#include "calls.h"

static nvmlReturn_t initialise(struct call *call, atomic_int *slot) {
    nvmlReturn_t rc = call_begin(call, slot, 0);
    if (rc == OK) calls_initialised(1); /* touches no GPU: a bad one fails at its handle */
    return rc;
}

NVML_API nvmlReturn_t nvmlInit_v2(void) {
    static atomic_int slot;
    __attribute__((cleanup(call_end))) struct call call = {.name = __func__};
    return initialise(&call, &slot);
}

NVML_API nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    static atomic_int slot;
    __attribute__((cleanup(call_end))) struct call call = {.name = __func__};
    return initialise(&call, &slot);
}

NVML_API nvmlReturn_t nvmlShutdown(void) {
    CALL();
    calls_initialised(-1);
    return OK;
}

NVML_API const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
        case OK: return "Success";
        case UNINITIALIZED: return "Uninitialized";
        case INVALID_ARGUMENT: return "Invalid Argument";
        case NOT_SUPPORTED: return "Not Supported";
        case NO_PERMISSION: return "Insufficient Permissions";
        case NOT_FOUND: return "Not Found";
        case INSUFFICIENT_SIZE: return "Insufficient Size";
        case 9: return "Driver Not Loaded";
        case TIMEOUT: return "Timeout";
        case 13: return "Function Not Found";
        case GPU_IS_LOST: return "GPU is lost";
        case 16: return "GPU requires reset";
        case LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
        case VERSION_MISMATCH: return "Argument version mismatch";
        default: return "Unknown Error";
    }
}

/* Strings go into the caller's buffer, which must hold the end mark too. */
static nvmlReturn_t give(char *to, unsigned length, const char *text) {
    if (!to) return INVALID_ARGUMENT;
    if (strlen(text) >= length) return INSUFFICIENT_SIZE;
    snprintf(to, length, "%s", text);
    return OK;
}

NVML_API nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    CALL();
    return give(version, length, call.state->driver_version);
}

NVML_API nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length) {
    static atomic_int slot;
    __attribute__((cleanup(call_end))) struct call call = {.name = __func__};
    nvmlReturn_t rc = call_begin(&call, &slot, 0);
    return rc != OK ? rc : give(version, length, call.state->nvml_version);
}

NVML_API nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) {
    CALL();
    *version = call.state->cuda_version;
    return OK;
}

NVML_API nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    CALL();
    *version = call.state->cuda_version;
    return OK;
}

NVML_API nvmlReturn_t nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length) {
    CALL();
    for (int i = 0; i < call.state->gpus; i++)
        for (int j = 0; j < call.state->gpu[i].processes; j++)
            if (call.state->gpu[i].process[j].pid == pid) return give(name, length, call.state->gpu[i].process[j].name);
    return NOT_FOUND;
}
