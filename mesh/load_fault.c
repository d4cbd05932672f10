/*
 * fault delay, abort and reset, with their options in any order.
 */
#include "base/grpc_status.h"
#include "mesh/fault.h"
#include "mesh/fault_count.h"
#include "mesh/loader.h"

enum { FIRST_MAX = 1000000000 };

/* What the options of one fault have said. */
struct draft {
    struct fault fault;
    struct str share_text, until_text;
    bool said[5];
};
enum option { OPTION_JITTER, OPTION_FOR, OPTION_WHEN, OPTION_FIRST, OPTION_UNTIL };
static const char *const options[] = {"jitter", "for", "when", "first", "until", NULL};

static bool take_when(struct loader *ld, struct words *w, struct fault *f)
{
    struct match_rule *when = must(arena_zalloc(ld->arena, sizeof(*when)));
    const struct word *kind = words_next(w);
    static const char *const kinds[] = {"header", "source", NULL};
    size_t index;

    f->when = when;
    return word_choice(ld, w, kind, kinds, &index) &&
           take_match(ld, w, index == 1 ? MATCH_SOURCE : MATCH_HEADER, when);
}

static bool take_until(struct loader *ld, struct words *w, struct draft *d)
{
    const struct word *word = words_next(w);
    struct error err = {0};

    if (!word)
        return incomplete(ld, w);
    d->until_text = word->text;
    return value_moment(word->text, &d->fault.until, &err) || wrong(ld, word, &err);
}

static bool take_first(struct loader *ld, struct words *w, struct fault *f)
{
    fault_counter_add(ld->config, f);
    return take_number(ld, w, 1, FIRST_MAX, &f->first);
}

static bool take_option(struct loader *ld, struct words *w, const struct word *word,
                        struct draft *d)
{
    size_t option;

    if (!word_choice(ld, w, word, options, &option))
        return false;
    if (d->said[option])
        return wrongf(ld, word, "\"%s\" stands twice in this fault", options[option]);
    d->said[option] = true;
    if (option == OPTION_JITTER && d->fault.kind != FAULT_DELAY)
        return wrongf(ld, word, "\"jitter\" belongs to fault delay");
    if (option == OPTION_JITTER)
        return take_duration(ld, w, &d->fault.jitter);
    if (option == OPTION_WHEN)
        return take_when(ld, w, &d->fault);
    if (option == OPTION_FIRST)
        return take_first(ld, w, &d->fault);
    if (option == OPTION_UNTIL)
        return take_until(ld, w, d);
    if (w->i < w->s->n_args)
        d->share_text = w->s->args[w->i].text;
    return take_share(ld, w, &d->fault.share, NULL);
}

static bool is_all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* Names in small letters and with hyphens are as near as misspelt ones. */
static bool unknown_code(struct loader *ld, const struct word *word)
{
    char *upper = must(arena_alloc(ld->scratch, word->text.n + 1)), shown[80];
    struct nearest near;

    for (size_t i = 0; i < word->text.n; i++) {
        char c = word->text.p[i];
        upper[i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
    }
    nearest_init(&near, str_of(upper, word->text.n));
    for (unsigned code = 1; code <= GRPC_STATUS_MAX; code++)
        nearest_try(&near, str_from(grpc_status_name(code)));
    value_shown(word->text, shown);
    if (near.best.n)
        return wrongf(ld, word, "\"%s\" is not a code of gRPC; did you mean \"%.*s\"?", shown,
                      STR_ARG(near.best));
    return wrongf(ld, word, "\"%s\" is not a code of gRPC, as UNAVAILABLE or 14 are", shown);
}

/* The name of a code, or its number; not OK, which aborts nothing. */
static bool take_code(struct loader *ld, struct words *w, struct fault *f)
{
    const struct word *word = words_next(w);
    unsigned code = GRPC_OK;
    struct error err = {0};
    uint64_t number;

    if (!word)
        return incomplete(ld, w);
    if (is_all_digits(word->text)) {
        if (!value_number(word->text, 0, GRPC_STATUS_MAX, &number, &err))
            return wrongf(ld, word, "the codes of gRPC are 1 to %u", (unsigned)GRPC_STATUS_MAX);
        code = (unsigned)number;
    } else if (!grpc_status_named(word->text, &code)) {
        return unknown_code(ld, word);
    }
    if (code == GRPC_OK)
        return wrongf(ld, word, "OK is no failure: nothing would be aborted");
    f->grpc_status = (int)code;
    f->status = grpc_status_to_http(code);
    return true;
}

static bool take_status(struct loader *ld, struct words *w, struct fault *f)
{
    const struct word *word = w->i < w->s->n_args ? &w->s->args[w->i] : NULL;
    uint64_t status;
    unsigned code;

    if (words_take(w, "grpc"))
        return take_code(ld, w, f);
    if (word && grpc_status_named(word->text, &code))
        return wrongf(ld, word, "%s is a code of gRPC; say grpc %s", grpc_status_name(code),
                      grpc_status_name(code));
    if (!take_number(ld, w, 200, 599, &status))
        return false;
    f->status = (unsigned)status;
    return true;
}

/* What stands before the options: the time, the status or the code. */
static bool take_kind(struct loader *ld, struct words *w, struct fault *f)
{
    const struct word *first = w->i < w->s->n_args ? &w->s->args[w->i] : NULL;

    f->kind = (enum fault_kind)w->row->value;
    switch (f->kind) {
    case FAULT_DELAY:
        if (!take_duration(ld, w, &f->delay))
            return false;
        return f->delay > 0 || wrongf(ld, first, "a delay of 0 is none");
    case FAULT_ABORT:
        return take_status(ld, w, f);
    case FAULT_RESET:
        break;
    }
    return true;
}

static struct str fault_text(struct loader *ld, const struct draft *d, bool masked)
{
    const struct fault *f = &d->fault;
    struct buffer b;
    struct held held;

    hold_buffer(&held, &b);
    if (f->kind == FAULT_DELAY) {
        buffer_add_str(&b, STR("delay "));
        value_write_duration(f->delay, &b);
    } else if (f->kind == FAULT_ABORT && f->grpc_status >= 0) {
        buffer_printf(&b, "abort grpc %s", grpc_status_name((unsigned)f->grpc_status));
    } else if (f->kind == FAULT_ABORT) {
        buffer_printf(&b, "abort %u", f->status);
    } else {
        buffer_add_str(&b, STR("reset"));
    }
    if (f->jitter) {
        buffer_add_str(&b, STR(" jitter "));
        value_write_duration(f->jitter, &b);
    }
    if (d->share_text.n)
        buffer_printf(&b, " for %.*s", STR_ARG(d->share_text));
    if (f->when)
        buffer_printf(&b, " when %.*s", STR_ARG(masked ? f->when->shown : f->when->text));
    if (f->first)
        buffer_printf(&b, " first %llu", (unsigned long long)f->first);
    if (f->until)
        buffer_printf(&b, " until %.*s", STR_ARG(d->until_text));
    struct str text = must_text(ld->arena, &b);
    let_go(&held);
    return text;
}

void read_fault(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    struct draft d = {.fault = {.share = SHARE_ALWAYS, .grpc_status = -1, .at = s->name.at}};
    const struct word *option;

    if (r->n_faults == FAULTS_OF_ROUTE_MAX) {
        report_at(
            ld->report, s->name.at,
            "a route has at most %u faults: put requests that differ into routes of their own",
            (unsigned)FAULTS_OF_ROUTE_MAX);
        return;
    }
    if (!take_kind(ld, &w, &d.fault))
        return;
    while ((option = words_next(&w)) != NULL)
        if (!take_option(ld, &w, option, &d))
            return;
    d.fault.text = fault_text(ld, &d, false);
    d.fault.shown = fault_text(ld, &d, true);
    d.fault.salt = fault_salt(r->text, r->n_faults, d.fault.kind);
    r->faults = array_room(ld->arena, r->faults, r->n_faults, sizeof(*r->faults));
    r->faults[r->n_faults++] = d.fault;
}
