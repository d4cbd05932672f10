#include "mesh/config_lines.h"

#include "mesh/lexer.h"
#include "mesh/value.h"

void lines_begin(struct lines *w, const char *name)
{
    for (unsigned i = 0; i < w->depth; i++)
        buffer_add_str(w->out, STR("    "));
    buffer_add_str(w->out, str_from(name));
}

/* One word, with a variable in the place of each of their values. */
static void write_masked_word(struct lines *w, struct str text)
{
    struct buffer masked;

    buffer_init(&masked, 0);
    mask_write(w->masks, text, &masked);
    if (str_eq(buffer_str(&masked), text))
        lexer_write_word(text, w->out);
    else
        lexer_write_variables(buffer_str(&masked), w->out);
    w->out->failed |= masked.failed;
    buffer_release(&masked);
}

void lines_word(struct lines *w, struct str text)
{
    struct str shown = w->masked ? mask_word(w->masks, text) : (struct str){0};

    buffer_add_char(w->out, ' ');
    if (shown.p)
        buffer_add_str(w->out, shown);
    else if (w->masked && w->masks->n)
        write_masked_word(w, text);
    else
        lexer_write_word(text, w->out);
}

/* Text that is words already. */
void lines_words(struct lines *w, struct str text)
{
    if (w->masked && w->masks->n)
        mask_write(w->masks, text, w->out);
    else
        buffer_add_str(w->out, text);
}

/* What a field of that name is given. */
void lines_field_value(struct lines *w, struct str name, struct str value)
{
    bool from_environment = mask_word(w->masks, value).p != NULL;

    lines_word(w,
               w->masked && !from_environment && mask_is_secret_header(name) ? STR("***") : value);
}

/* Text of the language itself, which needs no quotes. */
void lines_raw(struct lines *w, const char *text)
{
    buffer_printf(w->out, " %s", text);
}

void lines_end(struct lines *w)
{
    buffer_add_str(w->out, STR(";\n"));
}

void lines_open(struct lines *w)
{
    buffer_add_str(w->out, STR(" {\n"));
    w->depth++;
}

void lines_close(struct lines *w)
{
    w->depth--;
    lines_begin(w, "}\n");
}

void lines_text(struct lines *w, const char *name, struct str value)
{
    lines_begin(w, name);
    lines_word(w, value);
    lines_end(w);
}

void lines_choice(struct lines *w, const char *name, const char *word)
{
    lines_begin(w, name);
    lines_raw(w, word);
    lines_end(w);
}

void lines_number(struct lines *w, uint64_t n)
{
    buffer_printf(w->out, " %llu", (unsigned long long)n);
}

void lines_duration(struct lines *w, nsec_t t)
{
    buffer_add_char(w->out, ' ');
    value_write_duration(t, w->out);
}

void lines_size(struct lines *w, uint64_t bytes)
{
    buffer_add_char(w->out, ' ');
    value_write_size(bytes, w->out);
}

void lines_attributes(struct lines *w, const struct key_value *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lines_begin(w, "attribute");
        lines_word(w, v[i].key);
        lines_word(w, v[i].value);
        lines_end(w);
    }
}
