#include "otlp/collector_health.h"

#include <stdarg.h>
#include <stdio.h>

void collector_health_init(struct collector_health *h, struct str name, exporter_report_fn *report,
                           void *arg)
{
    *h = (struct collector_health){
        .name = name, .report = report, .arg = arg, .quiet_until = INT64_MIN};
}

static void tell(struct collector_health *h, bool warning, nsec_t now, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void tell(struct collector_health *h, bool warning, nsec_t now, const char *format, ...)
{
    char line[1024];
    int n = snprintf(line, sizeof(line), "%.*s: ", STR_ARG(str_slice(h->name, 0, 300)));
    va_list args;

    va_start(args, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
    va_end(args);
    h->quiet_until = now + COLLECTOR_QUIET;
    if (h->report)
        h->report(h->arg, warning, line);
}

static void tell_good(struct collector_health *h, nsec_t now)
{
    long long seconds = (h->good_since - h->bad_since) / SECONDS(1);

    tell(h, false, now, "takes spans again after %lld s; %llu were exported since, %llu were lost",
         seconds, (unsigned long long)h->exported, (unsigned long long)h->lost);
    h->lost = 0;
    h->told_full = false; /* it was told with the rest */
}

static void tell_bad(struct collector_health *h, nsec_t now)
{
    static const char *const consequences[] = {
        [COLLECTOR_WARNED] = "",
        [COLLECTOR_REJECTED] = "; the rest was taken",
        [COLLECTOR_REFUSED] = "; the spans are lost",
        [COLLECTOR_FAILING] = "; spans wait and are sent again",
    };

    if (h->told == COLLECTOR_GOOD) {
        h->bad_since = now;
        h->exported = 0;
    }
    tell(h, true, now, "%s%s", h->text, consequences[h->now_is]);
}

static void tell_changes(struct collector_health *h, nsec_t now)
{
    if (h->told == h->now_is || now < h->quiet_until)
        return;
    if (h->now_is == COLLECTOR_GOOD)
        tell_good(h, now);
    else
        tell_bad(h, now);
    h->told = h->now_is;
}

static enum collector_state state_after(const struct otlp_outcome *outcome)
{
    switch (outcome->verdict) {
    case OTLP_RETRY:
        return COLLECTOR_FAILING;
    case OTLP_REFUSED:
        return COLLECTOR_REFUSED;
    case OTLP_ACCEPTED:
        break;
    }
    if (outcome->rejected)
        return COLLECTOR_REJECTED;
    return outcome->text[0] ? COLLECTOR_WARNED : COLLECTOR_GOOD;
}

void collector_health_note(struct collector_health *h, const struct otlp_outcome *outcome,
                           uint64_t n, nsec_t now)
{
    enum collector_state before = h->now_is;

    h->now_is = state_after(outcome);
    if (h->now_is == COLLECTOR_GOOD && before != COLLECTOR_GOOD)
        h->good_since = now;
    if (outcome->verdict == OTLP_ACCEPTED)
        h->exported += n - (outcome->rejected < n ? outcome->rejected : n);
    if (h->now_is != COLLECTOR_GOOD)
        memcpy(h->text, outcome->text, sizeof(h->text));
    if (h->now_is == COLLECTOR_REFUSED)
        h->lost += n;
    else if (h->now_is == COLLECTOR_REJECTED)
        h->lost += outcome->rejected;
    tell_changes(h, now);
}

nsec_t collector_health_tick(struct collector_health *h, nsec_t now)
{
    tell_changes(h, now);
    return h->told != h->now_is && h->quiet_until > now ? h->quiet_until : INT64_MAX;
}

void collector_health_end(struct collector_health *h)
{
    if (h->told != h->now_is)
        tell_changes(h, h->quiet_until);
}

void collector_health_note_full(struct collector_health *h, size_t queue_spans, nsec_t now)
{
    h->lost++;
    h->full = true;
    if (h->told_full || now < h->quiet_until)
        return;
    h->told_full = true;
    tell(h, true, now, "%zu spans wait, more are dropped until it takes some", queue_spans);
}

void collector_health_note_room(struct collector_health *h, nsec_t now)
{
    if (!h->full)
        return;
    h->full = false;
    if (!h->told_full)
        return;
    h->told_full = false;
    if (h->told != COLLECTOR_GOOD) /* that it takes spans again will be told with what was lost */
        return;
    tell(h, false, now, "there is room for spans again; %llu were lost meanwhile",
         (unsigned long long)h->lost);
    h->lost = 0;
}

void collector_health_note_lost(struct collector_health *h, uint64_t n)
{
    h->lost += n;
}
