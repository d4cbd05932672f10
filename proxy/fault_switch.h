/*
 * The switch that silences all injected faults at once, in every worker, for
 * who has asked for more than he can bear. It is the process's: no file turns it
 * back, a reload neither; POST /faults/on does, or a new start. A delay that is
 * under way is waited for.
 */
#ifndef SIDESPAN_PROXY_FAULT_SWITCH_H
#define SIDESPAN_PROXY_FAULT_SWITCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buffer.h"

extern atomic_bool fault_switch_is_off;

/* From any thread. */
static inline bool faults_are_off(void)
{
    return atomic_load_explicit(&fault_switch_is_off, memory_order_relaxed);
}

/* Of the main thread: logs and counts it where it changes something. */
void fault_switch_set(bool off);
void fault_switch_metrics_print(struct buffer *out);

#endif
