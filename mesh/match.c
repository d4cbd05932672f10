/* The `match` lines of a route, and that it takes calls of gRPC alone. */
#include <stdlib.h>

#include "mesh/route.h"

enum { DECODED_ON_STACK = 4096 };

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

/* A long value costs memory of its own, never its decision. */
static enum verdict decoded_matches(struct str encoded, const struct regex *regex)
{
    char few[DECODED_ON_STACK], *decoded = few;
    enum verdict verdict;
    size_t n = 0;

    if (!is_encoded(encoded))
        return regex_match(regex, encoded);
    if (encoded.n > sizeof(few) && !(decoded = malloc(encoded.n)))
        return VERDICT_UNDECIDED;
    for (size_t at = 0; at < encoded.n;)
        decoded[n++] = decode_next(encoded, &at);
    verdict = regex_match(regex, str_of(decoded, n));
    if (decoded != few)
        free(decoded);
    return verdict;
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

static enum verdict verdict_of(bool holds)
{
    return holds ? VERDICT_YES : VERDICT_NO;
}

/* One value decides where it fulfils the test, or where it cannot be told: the work of a request
 * with many such values is that of one. VERDICT_NO: the next may. */
static enum verdict query_value_holds(const struct match_rule *m, struct str value)
{
    switch (m->test) {
    case TEST_EQUALS:
        return verdict_of(decoded_eq(value, m->value));
    case TEST_REGEX:
        return decoded_matches(value, m->regex);
    default:
        return VERDICT_YES;
    }
}

static enum verdict query_holds(const struct match_rule *m, struct str query)
{
    struct str value;

    while (next_parameter(&query, m->name, &value)) {
        if (m->test == TEST_ABSENT)
            return VERDICT_NO;
        enum verdict verdict = query_value_holds(m, value);
        if (verdict != VERDICT_NO)
            return verdict;
    }
    return verdict_of(m->test == TEST_ABSENT);
}

/* ---- header, method ---- */

static enum verdict header_value_holds(const struct match_rule *m, struct str value)
{
    switch (m->test) {
    case TEST_EQUALS:
        return verdict_of(str_eq(value, m->value));
    case TEST_REGEX:
        return regex_match(m->regex, value);
    default:
        return VERDICT_YES;
    }
}

static enum verdict header_holds(const struct match_rule *m, const struct headers *headers)
{
    const struct header *h = m->header == HEADER_OTHER ? headers_find_name(headers, m->name)
                                                       : headers_find(headers, m->header);

    if (m->test == TEST_ABSENT)
        return verdict_of(h == NULL);
    for (; h; h = headers_next(headers, h)) {
        enum verdict verdict = header_value_holds(m, h->value);
        if (verdict != VERDICT_NO)
            return verdict;
    }
    return VERDICT_NO;
}

static bool is_one_of(struct str method, const struct str *methods, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(methods[i], method))
            return true;
    return false;
}

enum verdict match_rule_holds(const struct match_rule *m, const struct request *r)
{
    switch (m->kind) {
    case MATCH_METHOD:
        return verdict_of(is_one_of(r->method, m->methods, m->n_methods));
    case MATCH_HEADER:
        return header_holds(m, r->headers);
    case MATCH_QUERY:
        return query_holds(m, r->query);
    case MATCH_SOURCE:
        return verdict_of(address_within(&r->source, &m->network, m->network_bits));
    }
    return VERDICT_NO;
}

enum verdict match_rules_hold(const struct route *route, const struct request *r,
                              const struct match_rule **failed)
{
    enum verdict all = VERDICT_YES;

    if (route->grpc && !r->grpc)
        return VERDICT_NO;
    for (size_t i = 0; i < route->n_matches; i++) {
        enum verdict verdict = match_rule_holds(&route->matches[i], r);
        if (verdict == VERDICT_YES || (verdict == VERDICT_UNDECIDED && all == verdict))
            continue;
        all = verdict;
        if (failed)
            *failed = &route->matches[i];
        if (verdict == VERDICT_NO)
            break;
    }
    return all;
}

enum verdict route_holds(const struct route *route, const struct pattern *pattern,
                         const struct request *r)
{
    enum verdict path = pattern_match(pattern, r->path, NULL), rules;

    if (path == VERDICT_NO)
        return path;
    rules = match_rules_hold(route, r, NULL);
    return rules == VERDICT_YES ? path : rules;
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
    case MATCH_SOURCE:
        return given->network_bits >= wanted->network_bits &&
               address_within(&given->network, &wanted->network, wanted->network_bits);
    }
    return false;
}
