#include "otlp/health.h"

#include <stdarg.h>
#include <stdio.h>

void health_init(struct health *h, struct str name, exporter_report_fn *report, void *arg)
{
    *h = (struct health){.name = name, .report = report, .arg = arg, .quiet_until = INT64_MIN};
}

static void tell(struct health *h, bool warning, nsec_t now, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void tell(struct health *h, bool warning, nsec_t now, const char *format, ...)
{
    char line[1024];
    int n = snprintf(line, sizeof(line), "%.*s: ", STR_ARG(str_slice(h->name, 0, 300)));
    va_list args;

    va_start(args, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
    va_end(args);
    h->quiet_until = now + HEALTH_QUIET;
    if (h->report)
        h->report(h->arg, warning, line);
}

static void tell_good(struct health *h, nsec_t now)
{
    long long seconds = (h->good_since - h->bad_since) / SECONDS(1);

    tell(h, false, now, "takes spans again after %lld s; %llu were exported since, %llu were lost",
         seconds, (unsigned long long)h->exported, (unsigned long long)h->lost);
    h->lost = 0;
    h->told_full = false; /* it was told with the rest */
}

static void tell_bad(struct health *h, nsec_t now)
{
    static const char *const consequences[] = {
        [HEALTH_WARNED] = "",
        [HEALTH_REJECTED] = "; the rest was taken",
        [HEALTH_REFUSED] = "; the spans are lost",
        [HEALTH_FAILING] = "; spans wait and are sent again",
    };

    if (h->told == HEALTH_GOOD) {
        h->bad_since = now;
        h->exported = 0;
    }
    tell(h, true, now, "%s%s", h->text, consequences[h->now_is]);
}

static void tell_changes(struct health *h, nsec_t now)
{
    if (h->told == h->now_is || now < h->quiet_until)
        return;
    if (h->now_is == HEALTH_GOOD)
        tell_good(h, now);
    else
        tell_bad(h, now);
    h->told = h->now_is;
}

static enum health_state state_after(const struct otlp_outcome *outcome)
{
    switch (outcome->verdict) {
    case OTLP_RETRY:
        return HEALTH_FAILING;
    case OTLP_REFUSED:
        return HEALTH_REFUSED;
    case OTLP_ACCEPTED:
        break;
    }
    if (outcome->rejected)
        return HEALTH_REJECTED;
    return outcome->text[0] ? HEALTH_WARNED : HEALTH_GOOD;
}

void health_note(struct health *h, const struct otlp_outcome *outcome, uint64_t n, nsec_t now)
{
    enum health_state before = h->now_is;

    h->now_is = state_after(outcome);
    if (h->now_is == HEALTH_GOOD && before != HEALTH_GOOD)
        h->good_since = now;
    if (outcome->verdict == OTLP_ACCEPTED)
        h->exported += n - (outcome->rejected < n ? outcome->rejected : n);
    if (h->now_is != HEALTH_GOOD)
        memcpy(h->text, outcome->text, sizeof(h->text));
    if (h->now_is == HEALTH_REFUSED)
        h->lost += n;
    else if (h->now_is == HEALTH_REJECTED)
        h->lost += outcome->rejected;
    tell_changes(h, now);
}

nsec_t health_tick(struct health *h, nsec_t now)
{
    tell_changes(h, now);
    return h->told != h->now_is && h->quiet_until > now ? h->quiet_until : INT64_MAX;
}

void health_end(struct health *h)
{
    if (h->told != h->now_is)
        tell_changes(h, h->quiet_until);
}

void health_note_full(struct health *h, size_t queue_spans, nsec_t now)
{
    h->lost++;
    h->full = true;
    if (h->told_full || now < h->quiet_until)
        return;
    h->told_full = true;
    tell(h, true, now, "%zu spans wait, more are dropped until it takes some", queue_spans);
}

void health_note_room(struct health *h, nsec_t now)
{
    if (!h->full)
        return;
    h->full = false;
    if (!h->told_full)
        return;
    h->told_full = false;
    if (h->told != HEALTH_GOOD) /* that it takes spans again will be told with what was lost */
        return;
    tell(h, false, now, "there is room for spans again; %llu were lost meanwhile",
         (unsigned long long)h->lost);
    h->lost = 0;
}

void health_note_lost(struct health *h, uint64_t n)
{
    h->lost += n;
}
