#include "mesh/lexer.h"

#include "mesh/must.h"

static const char not_utf8[] = "a byte that is not UTF-8";

void lexer_init(struct lexer *l, const struct source *source, struct sources *sources,
                environment_fn *environment, struct report *report)
{
    *l = (struct lexer){.source = source,
                        .sources = sources,
                        .environment = environment,
                        .report = report,
                        .line = 1};
    buffer_init(&l->piece, 0);
    if (str_starts(source->text, STR("\xef\xbb\xbf"))) /* a byte order mark */
        l->at = l->line_start = 3;
}

void lexer_release(struct lexer *l)
{
    buffer_release(&l->piece);
}

/* The byte that is n further on; NUL past the end, where NUL bytes are mistakes anyway. */
static inline char peek(const struct lexer *l, size_t n)
{
    return l->at + n < l->source->text.n ? l->source->text.p[l->at + n] : '\0';
}

static inline bool at_end(const struct lexer *l)
{
    return l->at >= l->source->text.n;
}

static struct place place_of(const struct lexer *l, size_t at)
{
    return (struct place){l->source->name, l->line, (unsigned)(at - l->line_start + 1)};
}

/* Of one word only the first mistake is told. */
static void complain(struct lexer *l, size_t at, const char *what)
{
    if (!l->bad)
        report_at(l->report, place_of(l, at), "%s", what);
    l->bad = true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Moves to the first byte of a token; false at the end of the text. */
static bool skip_space(struct lexer *l)
{
    for (; !at_end(l); l->at++) {
        char c = l->source->text.p[l->at];
        if (c == '#') {
            l->at = str_index(l->source->text, '\n', l->at);
            if (at_end(l))
                return false;
            c = '\n';
        }
        if (!is_space(c))
            return true;
        if (c == '\n') {
            l->line++;
            l->line_start = l->at + 1;
            l->anything_on_line = false;
        }
    }
    return false;
}

/* What was read since the last flush goes to the piece, up to here. */
static void flush(struct lexer *l)
{
    buffer_add(&l->piece, l->source->text.p + l->run, l->at - l->run);
}

/* ---- the environment ---- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Text that may stand in a quoted string: UTF-8, no control characters but tab and newline. */
static const char *fault_of_value(struct str value)
{
    size_t length;

    for (size_t i = 0; i < value.n; i += length) {
        unsigned char c = (unsigned char)value.p[i];
        length = str_utf8_length(value, i);
        if (length == 0)
            return not_utf8;
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            return "a control character";
    }
    return NULL;
}

static void add_variable(struct lexer *l, size_t at, struct str name, const struct str *fallback)
{
    char ended[128];

    if (name.n >= sizeof(ended)) {
        complain(l, at, "the name of an environment variable is too long");
        return;
    }
    memcpy(ended, name.p, name.n);
    ended[name.n] = '\0';

    struct str value = str_from(l->environment ? l->environment(ended) : getenv(ended));
    bool own = value.n > 0;
    if (!own && fallback)
        value = *fallback;
    const char *fault = fault_of_value(value);
    if (!value.p && !l->bad) {
        report_at(l->report, place_of(l, at),
                  "the environment has no %s; ${%s:-DEFAULT} would stand in for it", ended, ended);
        l->bad = true;
    } else if (fault && !l->bad) {
        report_at(l->report, place_of(l, at), "the value of %s has %s", ended, fault);
        l->bad = true;
    } else if (value.n > l->sources->bytes_left) {
        complain(l, at, "all files together are too long");
    } else {
        l->sources->bytes_left -= value.n;
        buffer_add_str(&l->piece, value);
        if (own) {
            mask_add_variable(&l->sources->masks, l->sources->names, name, value);
            l->replaced = true;
        }
    }
}

/* What closes ${NAME}, or shows that it is not closed. */
static bool ends_variable(char c, bool quoted)
{
    return c == '}' || c == '"' || c == '\n' || (!quoted && (is_space(c) || c == ';' || c == '{'));
}

/* At the $ of "${": up to its "}", on the same line and within the word. */
static void read_variable(struct lexer *l, bool quoted)
{
    struct str text = l->source->text;
    size_t from = l->at, i = l->at + 2;

    flush(l);
    while (i < text.n && is_name_byte(text.p[i]))
        i++;
    struct str name = str_slice(text, from + 2, i), fallback;
    bool has_fallback = i + 1 < text.n && text.p[i] == ':' && text.p[i + 1] == '-';
    size_t value_at = has_fallback ? i + 2 : i;

    for (i = value_at; i < text.n && !ends_variable(text.p[i], quoted);)
        i++;
    bool closed = i < text.n && text.p[i] == '}';
    fallback = str_slice(text, value_at, i);
    l->at = l->run = closed ? i + 1 : i;
    if (!closed)
        complain(l, from, "\"${\" without its \"}\"");
    else if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9') ||
             (!has_fallback && fallback.n > 0))
        complain(l, from, "not the name of an environment variable: ${NAME} or ${NAME:-DEFAULT}");
    else
        add_variable(l, from, name, has_fallback ? &fallback : NULL);
}

/* ---- words ---- */

/* One byte that means itself, or a whole character of UTF-8. */
static void read_plain(struct lexer *l)
{
    unsigned char c = (unsigned char)peek(l, 0);
    size_t length = c < 0x80 ? 1 : str_utf8_length(l->source->text, l->at);

    if (length == 0)
        complain(l, l->at, not_utf8);
    else if ((c < 0x20 && c != '\t') || c == 0x7f)
        complain(l, l->at, "a control character");
    l->at += length ? length : 1;
}

/* Within a bare word {…} belongs to it ("/users/{id}", "\d{2,3}"); its length, or 0 when what
 * follows the { is a block. */
static size_t braces_length(const struct lexer *l)
{
    size_t n = 1;

    for (; !strchr(" \t\r\n;{}\"#", peek(l, n)); n++)
        ;
    return n > 1 && peek(l, n) == '}' ? n + 1 : 0;
}

/* $(header NAME) belongs to its word, the space in it too. */
static size_t part_length(const struct lexer *l)
{
    size_t n = 2;

    for (; !strchr("\r\n;{}\"()", peek(l, n)); n++)
        ;
    return peek(l, n) == ')' ? n + 1 : 0;
}

static void read_bare(struct lexer *l)
{
    while (!at_end(l)) {
        char c = peek(l, 0);
        size_t braces = c == '{' ? braces_length(l) : 0;
        if (is_space(c) || c == ';' || c == '}' || (c == '{' && braces == 0))
            return;
        if (c == '"') {
            complain(l, l->at, "a quote within a word; quote the whole word");
            l->at++;
        } else if (c == '$' && peek(l, 1) == '{') {
            read_variable(l, false);
        } else if (c == '$' && peek(l, 1) == '(' && part_length(l)) {
            l->at += part_length(l);
        } else if (braces) {
            l->at += braces;
        } else {
            read_plain(l);
        }
    }
}

static void read_escape(struct lexer *l)
{
    static const char from[] = "\"\\nt$", to[] = "\"\\\n\t$";
    const char *which = peek(l, 1) ? strchr(from, peek(l, 1)) : NULL;

    if (!which) {
        complain(l, l->at, "only \\\", \\\\, \\n, \\t and \\$ may follow a backslash in quotes");
        l->at++;
        return;
    }
    flush(l);
    buffer_add_char(&l->piece, to[which - from]);
    l->at += 2;
    l->run = l->at;
}

/* The quote was forgotten: the statement most likely ends where its line does. */
static void close_at_line_end(struct lexer *l, size_t opened)
{
    struct str text = l->source->text;
    size_t end = l->at;

    complain(l, opened, "this quote is not closed on its line");
    while (end > opened + 1 && is_space(text.p[end - 1]))
        end--;
    if (end > opened + 1 && strchr(";{}", text.p[end - 1]))
        l->at = end - 1;
}

static void read_quoted(struct lexer *l)
{
    size_t opened = l->at;

    l->run = ++l->at;
    while (!at_end(l) && peek(l, 0) != '\n' && peek(l, 0) != '"') {
        if (peek(l, 0) == '\\')
            read_escape(l);
        else if (peek(l, 0) == '$' && peek(l, 1) == '{')
            read_variable(l, true);
        else
            read_plain(l);
    }
    if (peek(l, 0) != '"')
        close_at_line_end(l, opened);
}

/* The bytes from `from` to here, with what was replaced in them. */
static struct str word_text(struct lexer *l, size_t from)
{
    if (l->run == from && l->piece.n == 0)
        return str_slice(l->source->text, from, l->at);
    if (l->run < l->at)
        flush(l);
    return must_text(l->sources->scratch, &l->piece);
}

static void read_word(struct lexer *l, struct token *t)
{
    size_t from = l->at;

    buffer_reset(&l->piece);
    l->bad = l->replaced = false;
    l->run = from;
    t->kind = TOKEN_WORD;
    t->quoted = peek(l, 0) == '"';
    if (!t->quoted) {
        read_bare(l);
        t->text = word_text(l, from);
    } else {
        read_quoted(l);
        t->text = word_text(l, from + 1);
        if (peek(l, 0) == '"')
            l->at++;
        char next = peek(l, 0);
        if (!at_end(l) && !is_space(next) && !strchr(";{}#", next))
            complain(l, l->at, "a space is missing behind the quote");
    }
    if (l->replaced)
        mask_add_word(&l->sources->masks, l->sources->names, t->text,
                      str_slice(l->source->text, from, l->at));
    t->bad = l->bad;
}

struct token lexer_next(struct lexer *l)
{
    struct token t = {.kind = TOKEN_END};
    bool more = skip_space(l);

    t.at = place_of(l, l->at);
    t.first = !l->anything_on_line;
    l->anything_on_line = true;
    if (more) {
        char c = peek(l, 0);
        if (c == ';' || c == '{' || c == '}') {
            t.kind = c == ';' ? TOKEN_SEMICOLON : c == '{' ? TOKEN_OPEN : TOKEN_CLOSE;
            l->at++;
        } else {
            read_word(l, &t);
        }
    }
    t.end = place_of(l, l->at);
    return t;
}

/* ---- writing ---- */

static bool is_bare_byte(char c)
{
    return is_name_byte(c) || (c && strchr("./:=~%+*,@-_?&!<>|^[]", c));
}

static bool can_be_bare(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '{' && i > 0) { /* {name}, as in /users/{name} */
            size_t close = i + 1;
            while (close < text.n && (is_name_byte(text.p[close]) || text.p[close] == '*'))
                close++;
            if (close == i + 1 || close == text.n || text.p[close] != '}')
                return false;
            i = close;
        } else if (!is_bare_byte(text.p[i])) {
            return false;
        }
    }
    return text.n > 0;
}

static void write_quoted(struct str text, bool variables, struct buffer *out)
{
    buffer_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool opens = !variables && c == '$' && i + 1 < text.n && text.p[i + 1] == '{';
        if (c == '"' || c == '\\' || c == '\n' || c == '\t' || opens)
            buffer_add_char(out, '\\');
        buffer_add_char(out, c == '\n' ? 'n' : c == '\t' ? 't' : c);
    }
    buffer_add_char(out, '"');
}

void lexer_write_word(struct str text, struct buffer *out)
{
    if (can_be_bare(text))
        buffer_add_str(out, text);
    else
        write_quoted(text, false, out);
}

void lexer_write_variables(struct str text, struct buffer *out)
{
    write_quoted(text, true, out);
}
