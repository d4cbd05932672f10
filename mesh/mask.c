#include "mesh/mask.h"

#include "mesh/must.h"

static void add(struct masks *m, struct arena *a, struct mask mask)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].is_word == mask.is_word && str_eq(m->v[i].value, mask.value))
            return;
    m->v = array_room(a, m->v, m->n, sizeof(*m->v));
    m->v[m->n++] = (struct mask){must_str(arena_dup(a, mask.value)),
                                 must_str(arena_dup(a, mask.shown)), mask.is_word};
}

void mask_add_variable(struct masks *m, struct arena *a, struct str name, struct str value)
{
    char shown[160];
    int n = snprintf(shown, sizeof(shown), "${%.*s}", (int)(name.n < 150 ? name.n : 150), name.p);

    if (value.n >= MASK_PART_BYTES)
        add(m, a, (struct mask){value, str_of(shown, (size_t)n), false});
}

void mask_add_word(struct masks *m, struct arena *a, struct str value, struct str shown)
{
    add(m, a, (struct mask){value, shown, true});
}

struct str mask_word(const struct masks *m, struct str value)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].is_word && str_eq(m->v[i].value, value))
            return m->v[i].shown;
    return (struct str){0};
}

/* How many bytes of the text are the value, or what is left of it where it was cut; or the value as
 * it stands in quotes. 0: it does not stand there. */
static size_t found_at(struct str text, struct str value)
{
    static const struct str dots = STR_INIT("...");
    size_t n = 0, at = 0;

    for (; n < value.n && at < text.n; n++, at++) {
        bool escaped = text.p[at] == '\\' && at + 1 < text.n && text.p[at + 1] == value.p[n];

        if (text.p[at] != value.p[n] && !escaped)
            break;
        at += text.p[at] != value.p[n];
    }
    bool cut = n >= MASK_PART_BYTES && str_starts(str_slice(text, at, text.n), dots);
    return n == value.n || cut ? at : 0;
}

static bool contains(struct str whole, struct str part)
{
    for (size_t at = 0; at + part.n <= whole.n; at++)
        if (memcmp(whole.p + at, part.p, part.n) == 0)
            return true;
    return false;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether a word goes on from the byte before that place to the one behind it. */
static bool within_word(struct str text, size_t at)
{
    return at > 0 && at < text.n && is_letter_or_digit(text.p[at - 1]) &&
           is_letter_or_digit(text.p[at]);
}

/* How many bytes of the text, from that place on, are a part of the value. */
static size_t part_at(struct str text, size_t at, struct str value)
{
    size_t most = 0;

    if (within_word(text, at) || text.p[at] == ' ')
        return 0;
    for (size_t from = 0; from < value.n; from++) {
        size_t n = 0;
        while (at + n < text.n && from + n < value.n && text.p[at + n] == value.p[from + n])
            n++;
        while (n > most && within_word(text, at + n))
            n--;
        if (n > most)
            most = n;
    }
    return most >= MASK_PART_BYTES ? most : 0;
}

/* How many bytes of the text, from that place on, are the value, or a part of it where the text is
 * about that word (p NULL: about none), which has it. */
static size_t masked_at(struct str text, size_t at, struct str value, struct str word)
{
    size_t whole = found_at(str_slice(text, at, text.n), value);

    return whole || !word.p || !contains(word, value) ? whole : part_at(text, at, value);
}

static void write_masked(const struct masks *m, struct str word, struct str text,
                         struct buffer *out)
{
    for (size_t at = 0; at < text.n;) {
        const struct mask *longest = NULL;
        size_t most = 0;

        for (size_t i = 0; i < m->n; i++) {
            size_t n = m->v[i].is_word ? 0 : masked_at(text, at, m->v[i].value, word);

            if (n > most) {
                most = n;
                longest = &m->v[i];
            }
        }
        if (longest)
            buffer_add_str(out, longest->shown);
        else
            buffer_add_char(out, text.p[at]);
        at += longest ? most : 1;
    }
}

void mask_write(const struct masks *m, struct str text, struct buffer *out)
{
    write_masked(m, (struct str){0}, text, out);
}

void mask_write_of_word(const struct masks *m, struct str word, struct str text, struct buffer *out)
{
    write_masked(m, mask_word(m, word).p ? word : (struct str){0}, text, out);
}

bool mask_is_secret_header(struct str name)
{
    static const struct str parts[] = {
        STR_INIT("authorization"), STR_INIT("cookie"),     STR_INIT("token"),
        STR_INIT("secret"),        STR_INIT("password"),   STR_INIT("api-key"),
        STR_INIT("apikey"),        STR_INIT("credential"), STR_INIT("signature"),
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (size_t at = 0; at + parts[i].n <= name.n; at++)
            if (str_eq_nocase(str_slice(name, at, at + parts[i].n), parts[i]))
                return true;
    return false;
}
