/*
 * trace: what is sampled, how identity travels, what is recorded.
 */
#include "mesh/config_words.h"
#include "mesh/loader.h"

/* ---- sample ---- */

/* From the word `always`, `never` or `ratio` on. */
static bool take_sample(struct loader *ld, struct words *w, struct sample_config *out)
{
    struct sample_config sample = {.ratio = 1};
    size_t index;

    if (!word_choice(ld, w, words_next(w), sample_words, &index))
        return false;
    sample.kind = (enum sample_kind)index;
    if (sample.kind == SAMPLE_RATIO && !take_share(ld, w, NULL, &sample.ratio))
        return false;
    if (!words_end(ld, w))
        return false;
    *out = sample;
    return true;
}

/* always and never hold for every trace; ratio is for those that begin here. */
void read_sample(struct loader *ld, const struct directive *row, const struct statement *s,
                 struct block *in)
{
    struct words w = {row, s, 0};
    struct trace_config *t = in->target;

    t->said_sample = true;
    t->parent_based = row->value == SAMPLE_RATIO;
    take_sample(ld, &w, &t->root);
}

void read_sample_parent(struct loader *ld, const struct directive *row, const struct statement *s,
                        struct block *in)
{
    struct trace_config *t = in->target;
    struct block b;

    t->said_sample = t->parent_based = true;
    block_init(&b, CONTEXT_SAMPLE_NAME, IN(CONTEXT_SAMPLE), t);
    load_block(ld, &b, s->block);
}

void read_sample_delegate(struct loader *ld, const struct directive *row, const struct statement *s,
                          struct block *in)
{
    struct words w = words_of(row, s);

    take_sample(ld, &w, (struct sample_config *)(void *)((char *)in->target + row->field.offset));
}

/* ---- propagate ---- */

static bool take_format(struct loader *ld, struct words *w, struct propagators *set)
{
    const char *names[PROPAGATOR_COUNT + 1] = {NULL};
    const struct word *word = words_next(w);
    enum propagator_id id;

    if (!word)
        return false;
    if (!propagator_named(word->text, &id)) {
        for (unsigned i = 0; i < PROPAGATOR_COUNT; i++)
            names[i] = propagator_at((enum propagator_id)i)->name;
        unknown_word(ld, w, word, names);
    } else if (!propagators_add(set, id)) {
        wrongf(ld, word, "\"%s\" stands twice", propagator_at(id)->name);
    }
    return true;
}

void read_propagate(struct loader *ld, const struct directive *row, const struct statement *s,
                    struct block *in)
{
    struct words w = words_of(row, s);
    struct trace_config *t = in->target;

    t->said_propagate = true;
    t->propagators = (struct propagators){0};
    while (take_format(ld, &w, &t->propagators))
        ;
}

/* ---- batch ---- */

void read_batch(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    struct trace_config *t = in->target;
    struct block b;

    t->said_batch = true;
    block_init(&b, CONTEXT_BATCH_NAME, IN(CONTEXT_BATCH), t);
    load_block(ld, &b, s->block);
    if (t->batch.size > t->batch.queue && !block_has(&b, "size"))
        t->batch.size = t->batch.queue; /* the default gives way */
    if (t->batch.size > t->batch.queue)
        report_at(ld->report, block_first(&b, "size"),
                  "a batch of %zu spans does not fit a queue of %zu", t->batch.size,
                  t->batch.queue);
}

/* ---- what is recorded ---- */

static void add_name(struct loader *ld, const struct word *word, struct str name, struct str **v,
                     size_t *n)
{
    char shown[80];

    for (size_t i = 0; i < *n; i++)
        if (str_eq((*v)[i], name)) {
            wrongf(ld, word, "\"%s\" stands twice", value_shown(name, shown));
            return;
        }
    *v = array_room(ld->arena, *v, *n, sizeof(**v));
    (*v)[(*n)++] = name;
}

void read_redact(struct loader *ld, const struct directive *row, const struct statement *s,
                 struct block *in)
{
    struct words w = words_of(row, s);
    struct trace_config *t = in->target;
    const struct word *word;

    while ((word = words_next(&w)) != NULL) {
        if (!value_is_text(word->text))
            wrongf(ld, word, "a query parameter's name is text without control characters");
        else if (word->text.n > 1 && memchr(word->text.p, '*', word->text.n))
            wrongf(ld, word, "a * among letters is no wildcard; * alone is every parameter");
        else if (!word->quoted && str_eq(word->text, STR("all")))
            wrongf(ld, word, "every parameter is *; one of the name is \"all\", in quotes");
        else
            add_name(ld, word, keep(ld, word->text), &t->redact_query, &t->n_redact_query);
    }
}

void read_capture(struct loader *ld, const struct directive *row, const struct statement *s,
                  struct block *in)
{
    static const char *const choices[] = {"header", NULL};
    struct words w = words_of(row, s);
    struct trace_config *t = in->target;
    enum header_id id;
    struct str name;
    size_t index;

    if (!word_choice(ld, &w, words_next(&w), choices, &index))
        return;
    while (w.i < s->n_args) {
        const struct word *word = &s->args[w.i];
        if (!take_header_name(ld, &w, &name, &id))
            continue;
        name = keep_lower(ld, name);
        if (row->value == CAPTURE_REQUEST)
            add_name(ld, word, name, &t->capture_request, &t->n_capture_request);
        else
            add_name(ld, word, name, &t->capture_response, &t->n_capture_response);
    }
}

/* ---- the block ---- */

void read_trace(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    struct block b;

    block_init(&b, CONTEXT_TRACE_NAME, IN(CONTEXT_TRACE), &ld->config->trace);
    load_block(ld, &b, s->block);
}

/* Without an exporter the last spans are kept where GET /traces finds them. */
void finish_trace(struct loader *ld)
{
    struct trace_config *t = &ld->config->trace;

    if (t->export_none && t->n_exports)
        report_at(ld->report, t->none_at,
                  "\"export none\" beside another export, in %s: take one of them away",
                  place_shown(ld, t->none_at, t->exports[0].at));
    if (t->export_none || t->n_exports)
        return;
    t->exports = must(arena_array(ld->arena, 1, sizeof(*t->exports)));
    t->exports[0] = (struct export_config){.kind = EXPORT_MEMORY, .memory_spans = 1000};
    t->n_exports = 1;
}
