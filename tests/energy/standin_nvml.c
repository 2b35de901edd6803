/* A stand-in for libnvidia-ml.so.1: synthetic GPUs whose energy is known in closed form.
 *
 * Power in W is constant; time is CLOCK_MONOTONIC, as Python's time.monotonic, or a clock that tests
 * set. Tests set values by standin_set, or in another process
 * by STANDIN_NVML="gpus=2,power=200" before it is loaded. Only what the meter calls is here; struct
 * layouts are those of nvml.h.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK, UNINITIALIZED, BAD_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 6,
       TOO_SMALL = 7, LOST = 15, UNKNOWN = 999 };
enum { MAX_GPUS = 4, MAX_OTHERS = 4, POWER_INSTANT = 186, SCOPE_MODULE = 1 };

typedef struct {
    double power, origin, base;                  /* base: J used before origin */
    double period;                               /* refresh of the counter in s */
    double shown;                                /* mJ shown since `frozen` was set */
    double module;                               /* W of the module's rest; 0: not supported */
    int counter, instant, average, states;       /* sensors: 1 works, 0 not supported */
    int frozen, lost, nan, mig, denied, flaky;
    volatile int hang;                           /* every query waits until it is 0 again */
    int others, drawers;                         /* processes that compute, and that draw */
    unsigned pids[MAX_OTHERS], drawing[MAX_OTHERS];
} Gpu;

typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } Process;
typedef struct {
    uint32_t field, scope;
    int64_t stamp, latency;
    unsigned type, code;
    union { double d; unsigned u; unsigned long long ull; } value;
} Field;

static Gpu gpu[MAX_GPUS];
static char instance[MAX_GPUS];                  /* its addresses are the MIG instances' handles */
static int count, running, driver = 1;
static double set_clock = -1;                    /* below 0: the real one */

static double now(void) {
    struct timespec t;
    if (set_clock >= 0) return set_clock;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double joules(const Gpu *g, double t) {
    return g->base + g->power * (t > g->origin ? t - g->origin : 0);
}

static double counter_mj(const Gpu *g, double t) {
    double seen = g->period > 0 ? floor(t / g->period) * g->period : t;
    return floor(1000 * joules(g, seen));
}

#define KEY(name) else if (!strcmp(key, #name)) g->name = x;

int standin_set(int i, const char *key, double x) {
    Gpu *g = &gpu[i];
    double t = now();
    if (!strcmp(key, "gpus")) count = (int)x;
    else if (!strcmp(key, "clock")) set_clock = x;
    else if (!strcmp(key, "driver")) driver = (int)x;
    else if (!strcmp(key, "power")) { g->base = joules(g, t); g->origin = t; g->power = x; }
    else if (!strcmp(key, "reset")) { g->base = x; g->origin = t; }
    else if (!strcmp(key, "frozen")) { g->shown = counter_mj(g, t); g->frozen = (int)x; }
    KEY(period) KEY(counter) KEY(instant) KEY(average) KEY(states) KEY(lost) KEY(nan)
    KEY(mig) KEY(denied) KEY(flaky) KEY(hang) KEY(module)
    else if (!strcmp(key, "other")) {
        if (x <= 0) g->others = 0;
        else if (g->others < MAX_OTHERS) g->pids[g->others++] = (unsigned)x;
    }
    else if (!strcmp(key, "drawer")) {
        if (x <= 0) g->drawers = 0;
        else if (g->drawers < MAX_OTHERS) g->drawing[g->drawers++] = (unsigned)x;
    }
    else return BAD_ARGUMENT;
    return OK;
}

double standin_now(void) { return now(); }
int standin_running(void) { return running; }

void standin_clear(void) {
    count = driver = 1;
    running = 0;
    set_clock = -1;
    for (int i = 0; i < MAX_GPUS; i++)
        gpu[i] = (Gpu){.power = 100, .origin = now(), .base = 5000, .period = 0.01,
                       .counter = 1, .instant = 1, .average = 1, .states = 1};
}

/* Settings for all GPUs. */
__attribute__((constructor)) static void load(void) {
    standin_clear();
    const char *env = getenv("STANDIN_NVML");
    char text[512], key[32];
    double x;
    if (!env || strlen(env) >= sizeof text) return;
    strcpy(text, env);
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ","))
        if (sscanf(part, "%31[^=]=%lf", key, &x) == 2)
            for (int i = 0; i < MAX_GPUS; i++) standin_set(i, key, x);
}

static void wait_while_hanging(const Gpu *g) {
    struct timespec t = {0, 1000000};
    while (g->hang) nanosleep(&t, NULL);
}

/* What every query of a device meets first. */
static int answer(const Gpu *g) {
    if (!running) return UNINITIALIZED;
    wait_while_hanging(g);
    if (g->lost) return LOST;
    if (g->flaky) return UNKNOWN;
    return g->denied ? NO_PERMISSION : OK;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (!driver) return 9;
    running++;
    return OK;
}
int nvmlShutdown(void) {
    wait_while_hanging(&gpu[0]);
    return running ? (running--, OK) : UNINITIALIZED;
}
const char *nvmlErrorString(int code) { static char s[32]; sprintf(s, "code %d", code); return s; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = (unsigned)count; return running ? OK : UNINITIALIZED; }

int nvmlDeviceGetHandleByIndex_v2(unsigned i, Gpu **out) {
    if ((int)i >= count) return BAD_ARGUMENT;
    if (gpu[i].lost) return LOST;
    *out = &gpu[i];
    return OK;
}
int nvmlDeviceGetUUID(Gpu *g, char *out, unsigned n) {
    int i = (int)(g - gpu);
    snprintf(out, n, "GPU-%02x5f0000-0000-4000-8000-%012x", 0xa0 + 16 * i, i);
    return OK;
}
int nvmlDeviceGetName(Gpu *g, char *out, unsigned n) {
    (void)g;
    snprintf(out, n, "Stand-in GPU");
    return OK;
}
int nvmlDeviceGetArchitecture(Gpu *g, unsigned *arch) { (void)g; *arch = 7; return OK; }  /* Zeus */
int nvmlDeviceGetMigMode(Gpu *g, unsigned *current, unsigned *pending) {
    *current = *pending = g->mig > 0;
    return g->mig < 0 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) {
    int i;
    if (sscanf(uuid, "MIG-%x", &i) != 1 || i < 0 || i >= count || !gpu[i].mig) return NOT_FOUND;
    *out = &instance[i];
    return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *mig, Gpu **out) {
    *out = &gpu[(char *)mig - instance];
    return OK;
}

int nvmlDeviceGetTotalEnergyConsumption(Gpu *g, unsigned long long *mj) {
    int code = answer(g);
    if (code) return code;
    if (!g->counter) return NOT_SUPPORTED;
    *mj = (unsigned long long)(g->frozen ? g->shown : counter_mj(g, now()));
    if (g->nan) *mj = ~0ULL;
    return OK;
}
int nvmlDeviceGetPowerUsage(Gpu *g, unsigned *mw) {
    int code = answer(g);
    double t = now();
    if (code) return code;
    if (!g->average) return NOT_SUPPORTED;
    double from = t - 1 > g->origin ? t - 1 : g->origin;
    double mean = t - from > 1e-6 ? (joules(g, t) - joules(g, from)) / (t - from) : g->power;
    *mw = g->nan ? ~0U : (unsigned)lround(1000 * mean);
    return OK;
}
int nvmlDeviceGetFieldValues(Gpu *g, int n, Field *f) {
    int code = answer(g);
    if (code) return code;
    for (int i = 0; i < n; i++) {
        f[i].type = 1;
        int module = f[i].scope == SCOPE_MODULE, known = module ? g->module > 0 : g->instant;
        f[i].code = f[i].field == POWER_INSTANT && known ? OK : NOT_SUPPORTED;
        double w = g->power + (module ? g->module : 0);
        f[i].value.u = g->nan ? ~0U : (unsigned)lround(1000 * w);
    }
    return OK;
}

static int state(Gpu *g, unsigned *out, unsigned value) {
    int code = answer(g);
    *out = value;
    return code ? code : g->states ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetTemperature(Gpu *g, unsigned s, unsigned *c) { (void)s; return state(g, c, 61); }
int nvmlDeviceGetClockInfo(Gpu *g, unsigned which, unsigned *mhz) {
    return state(g, mhz, which == 1 ? 1410 : which == 2 ? 1593 : 0);
}
int nvmlDeviceGetEnforcedPowerLimit(Gpu *g, unsigned *mw) { return state(g, mw, 400000); }
int nvmlDeviceGetPowerManagementDefaultLimit(Gpu *g, unsigned *mw) { return state(g, mw, 450000); }
int nvmlDeviceGetPersistenceMode(Gpu *g, unsigned *on) { return state(g, on, 1); }
int nvmlDeviceGetEccMode(Gpu *g, unsigned *current, unsigned *pending) {
    *pending = 1;
    return state(g, current, 0);
}
int nvmlSystemGetDriverVersion(char *out, unsigned n) {
    snprintf(out, n, "550.0-standin");
    return running ? OK : UNINITIALIZED;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(Gpu *g, unsigned long long *mask) {
    *mask = 0x4 | 0x20 | 0x600;
    return g->states ? OK : NOT_SUPPORTED;
}
static int processes(Gpu *g, const unsigned *pids, int count, unsigned *n, Process *out) {
    int code = answer(g);
    if (code) return code;
    if (!g->states) return NOT_SUPPORTED;
    unsigned room = *n;
    *n = (unsigned)count;
    if (!count) return OK;
    if (!out || room < *n) return TOO_SMALL;
    for (unsigned i = 0; i < *n; i++) out[i] = (Process){pids[i], 1ULL << 30, ~0U, ~0U};
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *g, unsigned *n, Process *out) {
    return processes(g, g->pids, g->others, n, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu *g, unsigned *n, Process *out) {
    return processes(g, g->drawing, g->drawers, n, out);
}
