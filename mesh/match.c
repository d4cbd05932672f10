/* The `match` lines of a route, and that it takes calls of gRPC alone. */
#include "mesh/route.h"

/* ---- query ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The next decoded byte of s at *at, which moves on. What is not %XX stands for itself. */
static char decode_next(struct str s, size_t *at)
{
    char c = s.p[(*at)++];

    if (c == '+')
        return ' ';
    if (c == '%' && s.n - *at >= 2) {
        int high = hex_digit(s.p[*at]), low = hex_digit(s.p[*at + 1]);
        if (high >= 0 && low >= 0) {
            *at += 2;
            return (char)(high << 4 | low);
        }
    }
    return c;
}

static bool is_encoded(struct str s)
{
    return str_index(s, '%', 0) < s.n || str_index(s, '+', 0) < s.n;
}

static bool decoded_eq(struct str encoded, struct str plain)
{
    size_t at = 0, i = 0;

    while (at < encoded.n) {
        if (i == plain.n || decode_next(encoded, &at) != plain.p[i])
            return false;
        i++;
    }
    return i == plain.n;
}

static bool decoded_matches(struct str encoded, const struct regex *regex)
{
    char decoded[MATCH_QUERY_BYTES_MAX];
    size_t n = 0;

    if (!is_encoded(encoded))
        return encoded.n <= sizeof(decoded) && regex_match(regex, encoded);
    for (size_t at = 0; at < encoded.n;) {
        if (n == sizeof(decoded))
            return false;
        decoded[n++] = decode_next(encoded, &at);
    }
    return regex_match(regex, str_of(decoded, n));
}

/* The next parameter of that name; its value is empty without a '='. */
static bool next_parameter(struct str *rest, struct str name, struct str *value)
{
    struct str pair;

    while (str_split(rest, '&', &pair)) {
        size_t equals = str_index(pair, '=', 0);
        if (pair.n && decoded_eq(str_slice(pair, 0, equals), name)) {
            *value = str_slice(pair, equals + 1, pair.n);
            return true;
        }
    }
    return false;
}

struct str query_value(struct str query, struct str name)
{
    struct str value;

    return next_parameter(&query, name, &value) ? value : str_of(NULL, 0);
}

static bool query_holds(const struct match_rule *m, struct str query)
{
    struct str value;

    while (next_parameter(&query, m->name, &value)) {
        switch (m->test) {
        case TEST_PRESENT:
            return true;
        case TEST_ABSENT:
            return false;
        case TEST_EQUALS:
            if (decoded_eq(value, m->value))
                return true;
            break;
        case TEST_REGEX:
            if (decoded_matches(value, m->regex))
                return true;
            break;
        }
    }
    return m->test == TEST_ABSENT;
}

/* ---- header, method ---- */

static bool header_holds(const struct match_rule *m, const struct headers *headers)
{
    const struct header *h = m->header == HEADER_OTHER ? headers_find_name(headers, m->name)
                                                       : headers_find(headers, m->header);

    for (; h; h = headers_next(headers, h)) {
        switch (m->test) {
        case TEST_PRESENT:
            return true;
        case TEST_ABSENT:
            return false;
        case TEST_EQUALS:
            if (str_eq(h->value, m->value))
                return true;
            break;
        case TEST_REGEX:
            if (regex_match(m->regex, h->value))
                return true;
            break;
        }
    }
    return m->test == TEST_ABSENT;
}

static bool is_one_of(struct str method, const struct str *methods, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(methods[i], method))
            return true;
    return false;
}

bool match_rule_holds(const struct match_rule *m, const struct request *r)
{
    switch (m->kind) {
    case MATCH_METHOD:
        return is_one_of(r->method, m->methods, m->n_methods);
    case MATCH_HEADER:
        return header_holds(m, r->headers);
    case MATCH_QUERY:
        return query_holds(m, r->query);
    }
    return false;
}

bool match_rules_hold(const struct route *route, const struct request *r,
                      const struct match_rule **failed)
{
    if (route->grpc && !r->grpc)
        return false;
    for (size_t i = 0; i < route->n_matches; i++) {
        if (!match_rule_holds(&route->matches[i], r)) {
            if (failed)
                *failed = &route->matches[i];
            return false;
        }
    }
    return true;
}

/* ---- implication ---- */

static bool same_test(const struct match_rule *given, const struct match_rule *wanted)
{
    if (wanted->test == TEST_PRESENT)
        return given->test != TEST_ABSENT;
    if (given->test != wanted->test)
        return false;
    switch (wanted->test) {
    case TEST_EQUALS:
        return str_eq(given->value, wanted->value);
    case TEST_REGEX: /* the value has the expression as it was written */
        return given->text.n && str_eq(given->text, wanted->text);
    default:
        return true;
    }
}

bool match_rule_implies(const struct match_rule *given, const struct match_rule *wanted)
{
    if (given->kind != wanted->kind)
        return false;
    switch (wanted->kind) {
    case MATCH_METHOD:
        for (size_t i = 0; i < given->n_methods; i++)
            if (!is_one_of(given->methods[i], wanted->methods, wanted->n_methods))
                return false;
        return true;
    case MATCH_HEADER:
        return str_eq_nocase(given->name, wanted->name) && same_test(given, wanted);
    case MATCH_QUERY:
        return str_eq(given->name, wanted->name) && same_test(given, wanted);
    }
    return false;
}
