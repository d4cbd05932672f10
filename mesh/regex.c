#include "mesh/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>

/* What one match may cost at most. The jit counts match steps only; the other two bound the
 * interpreter, which takes over where the jit's stack does not suffice. */
enum { MATCH_STEPS_MAX = 100000, DEPTH_MAX = 20000, HEAP_KIB_MAX = 4096 };

/* Room for what PCRE2 asks for before a match: a general context and match data of
 * REGEX_GROUPS_MAX pairs, which take some 700 bytes in 10.42. */
enum { SCRATCH_BYTES = 1536 };

struct group_name {
    struct str name; /* in the code's name table */
    unsigned number;
};

struct regex {
    pcre2_code *code;             /* owned */
    pcre2_match_context *context; /* owned; the limits */
    bool jitted;
    size_t n_names;
    struct group_name names[REGEX_GROUPS_MAX];
};

/* Memory for one match, on the caller's stack. */
struct scratch {
    size_t used;
    _Alignas(16) char bytes[SCRATCH_BYTES];
};

static void *scratch_alloc(size_t size, void *data)
{
    struct scratch *s = data;
    size_t need = (size + 15) & ~(size_t)15;

    if (need < size || need > sizeof(s->bytes) - s->used)
        return malloc(size);
    void *p = s->bytes + s->used;
    s->used += need;
    return p;
}

static void scratch_free(void *p, void *data)
{
    struct scratch *s = data;
    uintptr_t at = (uintptr_t)p, from = (uintptr_t)s->bytes;

    if (at < from || at >= from + sizeof(s->bytes))
        free(p);
}

static pcre2_code *compile(struct str text, struct error *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), text.n,
                      PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &code, &at, NULL);

    if (!compiled) {
        PCRE2_UCHAR why[160] = "";
        if (code == PCRE2_ERROR_HEAP_FAILED)
            return error_no_memory(err), NULL;
        pcre2_get_error_message(code, why, sizeof(why));
        error_set(err, "regular expression: %s (at byte %zu of \"%.*s\")", (char *)why, at + 1,
                  STR_ARG(text));
    }
    return compiled;
}

static bool set_limits(struct regex *r)
{
    r->context = pcre2_match_context_create(NULL);
    if (!r->context)
        return false;
    pcre2_set_match_limit(r->context, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(r->context, DEPTH_MAX);
    pcre2_set_heap_limit(r->context, HEAP_KIB_MAX);
    return true;
}

/* The name table is sorted by name; groups are told in the order of their numbers. */
static void read_names(struct regex *r)
{
    uint32_t count = 0, entry_bytes = 0;
    PCRE2_SPTR table = NULL;

    pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_bytes);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < count && r->n_names < REGEX_GROUPS_MAX; i++) {
        PCRE2_SPTR entry = table + (size_t)i * entry_bytes;
        struct group_name g = {.name = str_from((const char *)entry + 2),
                               .number = (unsigned)entry[0] << 8 | entry[1]};
        size_t at = r->n_names++;
        for (; at > 0 && r->names[at - 1].number > g.number; at--)
            r->names[at] = r->names[at - 1];
        r->names[at] = g;
    }
}

struct regex *regex_new(struct str text, struct error *err)
{
    uint32_t groups = 0;
    struct regex *r = calloc(1, sizeof(*r));

    if (!r) {
        error_no_memory(err);
        return NULL;
    }
    r->code = compile(text, err);
    if (!r->code)
        goto fail;
    pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups >= REGEX_GROUPS_MAX) {
        error_set(err,
                  "regular expression: more than %d groups; (?:...) is a group that takes none",
                  REGEX_GROUPS_MAX - 1);
        goto fail;
    }
    if (!set_limits(r)) {
        error_no_memory(err);
        goto fail;
    }
    /* A machine without the jit, or a pattern it does not take, is matched by the interpreter. */
    r->jitted = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
    read_names(r);
    return r;
fail:
    regex_free(r);
    return NULL;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_match_context_free(r->context);
    pcre2_code_free(r->code);
    free(r);
}

static int run(const struct regex *r, struct str subject, pcre2_match_data *match)
{
    PCRE2_SPTR p = (PCRE2_SPTR)(subject.p ? subject.p : "");
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;

    if (r->jitted)
        rc = pcre2_jit_match(r->code, p, subject.n, 0, 0, match, r->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, p, subject.n, 0, PCRE2_NO_JIT, match, r->context);
    return rc;
}

static void copy_groups(const struct regex *r, struct str subject, pcre2_match_data *match,
                        struct str *values)
{
    const PCRE2_SIZE *pairs = pcre2_get_ovector_pointer(match);

    for (size_t i = 0; i < r->n_names; i++) {
        PCRE2_SIZE from = pairs[2 * r->names[i].number], to = pairs[2 * r->names[i].number + 1];
        /* \K in a lookahead may put the start of the match behind its end; groups too are checked.
         */
        values[i] =
            from == PCRE2_UNSET || to < from ? str_of(subject.p, 0) : str_slice(subject, from, to);
    }
}

/* 0: there are more groups than pairs, which is as good. */
static enum verdict verdict_of(int rc)
{
    if (rc >= 0)
        return VERDICT_YES;
    return rc == PCRE2_ERROR_NOMATCH ? VERDICT_NO : VERDICT_UNDECIDED;
}

/* values NULL: only whether it matches. */
static enum verdict match_with(const struct regex *r, struct str subject, struct str *values)
{
    struct scratch scratch;
    enum verdict verdict = VERDICT_UNDECIDED;

    scratch.used = 0;
    pcre2_general_context *general =
        pcre2_general_context_create(scratch_alloc, scratch_free, &scratch);
    if (!general)
        return verdict;
    pcre2_match_data *match = pcre2_match_data_create(values ? REGEX_GROUPS_MAX : 1, general);
    if (match) {
        verdict = verdict_of(run(r, subject, match));
        if (verdict == VERDICT_YES && values)
            copy_groups(r, subject, match, values);
        pcre2_match_data_free(match);
    }
    pcre2_general_context_free(general);
    return verdict;
}

enum verdict regex_match(const struct regex *r, struct str subject)
{
    return match_with(r, subject, NULL);
}

size_t regex_names(const struct regex *r)
{
    return r->n_names;
}

struct str regex_name_at(const struct regex *r, size_t i)
{
    return r->names[i].name;
}

bool regex_is_anchored(const struct regex *r)
{
    uint32_t options = 0;

    pcre2_pattern_info(r->code, PCRE2_INFO_ALLOPTIONS, &options);
    return (options & PCRE2_ANCHORED) != 0;
}

char regex_needed_byte(const struct regex *r)
{
    uint32_t known = 0, byte = 0;

    pcre2_pattern_info(r->code, PCRE2_INFO_LASTCODETYPE, &known);
    pcre2_pattern_info(r->code, PCRE2_INFO_LASTCODEUNIT, &byte);
    return known ? (char)byte : 0;
}

enum verdict regex_capture(const struct regex *r, struct str subject, struct str *values)
{
    return match_with(r, subject, values);
}
