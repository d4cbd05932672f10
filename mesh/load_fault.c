/*
 * fault delay, abort and reset, with their options in any order.
 */
#include "mesh/fault.h"
#include "mesh/loader.h"

enum { FIRST_MAX = 1000000000 };

/* What the options of one fault have said. */
struct draft {
    struct fault fault;
    struct str share_text;
    bool said[4];
};
enum option { OPTION_JITTER, OPTION_FOR, OPTION_WHEN, OPTION_FIRST };
static const char *const options[] = {"jitter", "for", "when", "first", NULL};

static bool take_when(struct loader *ld, struct words *w, struct fault *f)
{
    struct match_rule *when = must(arena_zalloc(ld->arena, sizeof(*when)));
    const struct word *kind = words_next(w);
    static const char *const kinds[] = {"header", NULL};
    size_t index;

    f->when = when;
    return word_choice(ld, w, kind, kinds, &index) && take_match(ld, w, MATCH_HEADER, when);
}

static bool take_first(struct loader *ld, struct words *w, struct fault *f)
{
    f->struck = must(arena_alloc(ld->arena, sizeof(*f->struck)));
    atomic_init(f->struck, 0);
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
    if (w->i < w->s->n_args)
        d->share_text = w->s->args[w->i].text;
    return take_share(ld, w, &d->fault.share, NULL);
}

/* What stands before the options: the time, or the status. */
static bool take_kind(struct loader *ld, struct words *w, struct fault *f)
{
    const struct word *word = w->i < w->s->n_args ? &w->s->args[w->i] : NULL;
    uint64_t status;

    switch (w->row->word[0]) {
    case 'd':
        f->kind = FAULT_DELAY;
        if (!take_duration(ld, w, &f->delay))
            return false;
        return f->delay > 0 || wrongf(ld, word, "a delay of 0 is none");
    case 'a':
        f->kind = FAULT_ABORT;
        if (word_is(word, "grpc"))
            return unknown_word(ld, w, word, options);
        if (!take_number(ld, w, 200, 599, &status))
            return false;
        f->status = (unsigned)status;
        return true;
    default:
        f->kind = FAULT_RESET;
        return true;
    }
}

static struct str fault_text(struct loader *ld, const struct draft *d)
{
    const struct fault *f = &d->fault;
    struct buffer b;

    buffer_init(&b, 0);
    if (f->kind == FAULT_DELAY) {
        buffer_add_str(&b, STR("delay "));
        value_write_duration(f->delay, &b);
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
        buffer_printf(&b, " when %.*s", STR_ARG(f->when->text));
    if (f->first)
        buffer_printf(&b, " first %llu", (unsigned long long)f->first);
    struct str text = keep(ld, buffer_str(&b));
    buffer_release(&b);
    return text;
}

void read_fault(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    struct draft d = {.fault = {.share = SHARE_ALWAYS, .at = s->name.at}};
    const struct word *option;

    if (!take_kind(ld, &w, &d.fault))
        return;
    while ((option = words_next(&w)) != NULL)
        if (!take_option(ld, &w, option, &d))
            return;
    d.fault.text = fault_text(ld, &d);
    d.fault.salt = fault_salt(r->text, r->n_faults, d.fault.kind);
    r->faults = array_room(ld->arena, r->faults, r->n_faults, sizeof(*r->faults));
    r->faults[r->n_faults++] = d.fault;
}
