/*
 * Whether a regular expression can be made to run away: subjects are made of
 * the expression itself, and matched. A sample is written while the text is
 * read: one character for a class, the first of several alternatives, one turn
 * of each repetition; where a repetition without a bound stands, it is noted. A
 * subject is then the sample up to such a place, a piece of it many times over,
 * and an end that does not fit. That is what backtracking is slow with: a
 * repetition in another, or one behind another whose characters it may take.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buffer.h"
#include "mesh/regex.h"

enum { SPOTS_MAX = 12, SAMPLE_BYTES_MAX = 512, DEPTH_MAX = 32, COUNT_MAX = 16 };
/* An expression that may begin anywhere pays for each beginning. */
enum { UNANCHORED_BYTES = REGEX_EXAMPLE_BYTES / 2 };

/* A repetition without a bound: the sample as it was then, and what of it is repeated. */
struct spot {
    size_t from, to;
    char sample[SAMPLE_BYTES_MAX];
};

struct sampler_of_text {
    struct str text;
    size_t at;
    struct buffer sample;
    struct spot spots[SPOTS_MAX];
    size_t n_spots;
    unsigned depth;
    bool lost; /* something that is not understood */
};

/* ---- reading ---- */

static bool more(const struct sampler_of_text *s)
{
    return s->at < s->text.n;
}

static bool next_is(const struct sampler_of_text *s, const char *word)
{
    return str_starts(str_slice(s->text, s->at, s->text.n), str_from(word));
}

static bool take(struct sampler_of_text *s, const char *word)
{
    if (!next_is(s, word))
        return false;
    s->at += strlen(word);
    return true;
}

/* A character that the piece of text, a class or an escape, takes. 0: none was found. */
static char character_of(struct str piece)
{
    static const char likely[] = "a0A-_/.";
    int code;
    PCRE2_SIZE at;
    pcre2_code *r =
        pcre2_compile((PCRE2_SPTR)piece.p, piece.n,
                      PCRE2_ANCHORED | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &code, &at, NULL);
    pcre2_match_data *match = r ? pcre2_match_data_create(1, NULL) : NULL;
    char found = 0;

    for (unsigned i = 0; match && !found && i < sizeof(likely) - 1 + 0x7f - 0x20; i++) {
        char c = i < sizeof(likely) - 1 ? likely[i] : (char)(0x20 + (i - (sizeof(likely) - 1)));
        if (pcre2_match(r, (PCRE2_SPTR)&c, 1, 0, 0, match, NULL) >= 0 &&
            pcre2_get_ovector_pointer(match)[1] == 1)
            found = c;
    }
    pcre2_match_data_free(match);
    pcre2_code_free(r);
    return found;
}

static void put_piece(struct sampler_of_text *s, size_t from)
{
    char c = character_of(str_slice(s->text, from, s->at));

    if (c)
        buffer_add_char(&s->sample, c);
}

static void read_class(struct sampler_of_text *s)
{
    size_t from = s->at++;

    take(s, "^");
    take(s, "]"); /* first it is a character */
    while (more(s) && s->text.p[s->at] != ']') {
        if (next_is(s, "[:"))
            s->at += str_index(str_slice(s->text, s->at, s->text.n), ']', 0);
        else if (s->text.p[s->at] == '\\')
            s->at++;
        s->at++;
    }
    s->at++;
    if (s->at > s->text.n)
        s->lost = true;
    else
        put_piece(s, from);
}

/* An escape that takes a character, or says something of the place alone. */
static void read_escape(struct sampler_of_text *s)
{
    size_t from = s->at;
    char c = from + 1 < s->text.n ? s->text.p[from + 1] : 0;

    s->at += 2;
    if (!c || (c >= '1' && c <= '9') || strchr("gkQEXRCN", c)) {
        s->lost = true;
        return;
    }
    if (strchr("bBAzZGK", c))
        return;
    if ((c == 'x' || c == 'p' || c == 'P' || c == 'o') && next_is(s, "{"))
        s->at = str_index(s->text, '}', s->at) + 1;
    else if (c == 'x')
        s->at += 2;
    else if (c == 'c' || c == 'p' || c == 'P')
        s->at++;
    if (s->at > s->text.n)
        s->lost = true;
    else
        put_piece(s, from);
}

static void read_alternatives(struct sampler_of_text *s);

/* What only looks around leaves nothing in the sample. */
static void read_group(struct sampler_of_text *s)
{
    static const char *const looks[] = {"?=", "?!", "?<=", "?<!"}, *const plain[] = {"?:", "?>",
                                                                                     "?|"};
    size_t had = s->sample.n, spots = s->n_spots;
    bool look = false, known = !next_is(s, "?") && !next_is(s, "*");

    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]) && !known; i++)
        look = known = take(s, looks[i]);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]) && !known; i++)
        known = take(s, plain[i]);
    if (!known && (take(s, "?P<") || take(s, "?<"))) {
        s->at = str_index(s->text, '>', s->at) + 1;
        known = s->at <= s->text.n;
    }
    if (!known && (take(s, "?i)") || take(s, "?s)") || take(s, "?x)")))
        return; /* an option from here on */
    if (!known || ++s->depth > DEPTH_MAX) {
        s->lost = true;
        return;
    }
    read_alternatives(s);
    s->depth--;
    if (!take(s, ")"))
        s->lost = true;
    if (look) {
        s->sample.n = had;
        s->n_spots = spots;
    }
}

static uint64_t read_number(struct sampler_of_text *s, uint64_t otherwise)
{
    size_t from = s->at;
    uint64_t n = otherwise;

    while (more(s) && s->text.p[s->at] >= '0' && s->text.p[s->at] <= '9')
        s->at++;
    str_to_u64(str_slice(s->text, from, s->at), &n);
    return n;
}

/* {N}, {N,} or {N,M}; else the brace is a character. */
static bool read_braces(struct sampler_of_text *s, uint64_t *least, bool *unbounded)
{
    size_t from = s->at++;
    bool digit = more(s) && s->text.p[s->at] >= '0' && s->text.p[s->at] <= '9';

    *least = read_number(s, 1);
    *unbounded = take(s, ",") && (next_is(s, "}") || read_number(s, 0) > COUNT_MAX);
    if (digit && take(s, "}"))
        return true;
    s->at = from;
    return false;
}

static void read_repetition(struct sampler_of_text *s, size_t from)
{
    bool unbounded = false;
    uint64_t least = 1;
    size_t to = s->sample.n;

    if (take(s, "*") || take(s, "+"))
        unbounded = true;
    else if (next_is(s, "{") ? !read_braces(s, &least, &unbounded) : !take(s, "?"))
        return;
    if (!take(s, "?"))
        take(s, "+");
    for (uint64_t i = 1; i < least && i < COUNT_MAX; i++)
        buffer_add(&s->sample, s->sample.p + from, to - from);
    if (!unbounded || to == from || to > SAMPLE_BYTES_MAX || s->n_spots == SPOTS_MAX)
        return;
    struct spot *spot = &s->spots[s->n_spots++];
    spot->from = from;
    spot->to = to;
    memcpy(spot->sample, s->sample.p, to);
}

static void read_atom(struct sampler_of_text *s)
{
    char c = s->text.p[s->at];

    if (c == '[') {
        read_class(s);
    } else if (c == '\\') {
        read_escape(s);
    } else if (c == '(') {
        s->at++;
        read_group(s);
    } else {
        s->at++;
        if (c == '.')
            buffer_add_char(&s->sample, 'a');
        else if (c != '^' && c != '$')
            buffer_add_char(&s->sample, c);
    }
}

/* Of several alternatives the last that leaves anything is the sample; all are read for their
 * repetitions. */
static void read_alternatives(struct sampler_of_text *s)
{
    size_t start = s->sample.n;
    char kept[SAMPLE_BYTES_MAX];
    size_t n_kept = 0;

    while (more(s) && s->text.p[s->at] != ')' && !s->lost) {
        size_t from = s->sample.n;
        if (take(s, "|")) {
            if (from > start) {
                n_kept = from - start;
                memcpy(kept, s->sample.p + start, n_kept);
            }
            s->sample.n = start;
            continue;
        }
        read_atom(s);
        if (more(s) && !s->lost)
            read_repetition(s, from);
        if (s->sample.n > SAMPLE_BYTES_MAX)
            s->lost = true;
    }
    if (s->sample.n == start)
        buffer_add(&s->sample, kept, n_kept);
}

/* ---- trying ---- */

struct trial {
    const struct regex *regex;
    size_t bytes;
    char needed[2]; /* what must be there for anything to be tried, and an end that does not fit */
    struct buffer *subject;
};

static bool try_pump(const struct trial *t, struct str before, struct str pump)
{
    const struct str ends[] = {STR(""), STR("!"), STR("//"), STR(" "), str_of(t->needed, 2)};
    size_t had = t->subject->n;

    if (pump.n == 0)
        return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        t->subject->n = had;
        buffer_add_str(t->subject, before);
        while (t->subject->n - had + pump.n + ends[i].n <= t->bytes)
            buffer_add_str(t->subject, pump);
        buffer_add_str(t->subject, ends[i]);
        struct str subject = str_slice(buffer_str(t->subject), had, t->subject->n);
        if (regex_match(t->regex, subject) == VERDICT_UNDECIDED)
            return true;
    }
    t->subject->n = had;
    return false;
}

/* What a repetition repeats, and what stands between it and each that follows. */
static bool try_spot(const struct trial *t, const struct spot *spots, size_t n, size_t i)
{
    const struct spot *at = &spots[i];
    struct str before = str_of(at->sample, at->from);

    if (try_pump(t, before, str_of(at->sample + at->from, at->to - at->from)))
        return true;
    for (size_t j = 0; j < n; j++)
        if (spots[j].from > at->to && memcmp(spots[j].sample, at->sample, at->to) == 0 &&
            try_pump(t, before, str_of(spots[j].sample + at->to, spots[j].from - at->to)))
            return true;
    return false;
}

bool regex_runs_away(const struct regex *r, struct str text, struct buffer *example)
{
    struct sampler_of_text s = {.text = text};
    bool found = false;

    buffer_init(&s.sample, 0);
    /* Whatever is added may come from the sample itself, which then must not move. */
    if (buffer_reserve(&s.sample, 2 * COUNT_MAX * SAMPLE_BYTES_MAX))
        read_alternatives(&s);
    struct trial t = {.regex = r,
                      .bytes = regex_is_anchored(r) ? REGEX_EXAMPLE_BYTES : UNANCHORED_BYTES,
                      .needed = {regex_needed_byte(r), '!'},
                      .subject = example};
    /* Where something was not understood, what was read before it is still worth a try. */
    for (size_t i = 0; i < s.n_spots && !found; i++)
        found = try_spot(&t, s.spots, s.n_spots, i);
    buffer_release(&s.sample);
    return found;
}
