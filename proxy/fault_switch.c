#include "proxy/fault_switch.h"

#include <inttypes.h>

#include "base/log.h"
#include "proxy/prometheus.h"

atomic_bool fault_switch_is_off;
static uint64_t switched; /* the main thread's */

void fault_switch_set(bool off)
{
    if (faults_are_off() == off)
        return;
    atomic_store(&fault_switch_is_off, off);
    switched++;
    log_write(LOG_WARN, "faults", "%s",
              off ? "all injected faults are silent, until POST /faults/on or a new start"
                  : "injected faults strike again");
}

void fault_switch_metrics_print(struct buffer *out)
{
    prometheus_family(out, "sidespan_faults_off", "gauge",
                      "1 while POST /faults/off has silenced all injected faults");
    buffer_printf(out, "sidespan_faults_off %d\n", faults_are_off());
    prometheus_family(out, "sidespan_faults_switched_total", "counter",
                      "Times injected faults were silenced or let strike again");
    buffer_printf(out, "sidespan_faults_switched_total %" PRIu64 "\n", switched);
}
