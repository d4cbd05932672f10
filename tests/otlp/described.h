/* A span that was described, and its attributes as text, for the tests of the conventions. */
#ifndef SIDESPAN_TESTS_OTLP_DESCRIBED_H
#define SIDESPAN_TESTS_OTLP_DESCRIBED_H

#include <check.h>
#include <stdio.h>

#include "otlp/conventions.h"

static struct buffer scratch;
static struct described_span described;
static struct arena arena; /* for extras */

static void set_up(void)
{
    arena_init(&arena, 0, 0);
    buffer_init(&scratch, 0);
}

static void tear_down(void)
{
    arena_release(&arena);
    buffer_release(&scratch);
}

/* Keys are unique. */
static inline void describe_as(const struct span *s, const struct conventions *conventions)
{
    span_describe(s, conventions, &scratch, &described);
    for (size_t i = 0; i < described.n; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(!str_eq(described.v[i].key, described.v[j].key), "%.*s is there twice",
                          STR_ARG(described.v[i].key));
}

/* The value of an attribute as text; NULL: it is not there. */
static inline const char *value_of(const char *key)
{
    static char text[512];

    for (size_t i = 0; i < described.n; i++) {
        const struct attribute *a = &described.v[i];
        if (!str_eq(a->key, str_from(key)))
            continue;
        switch (a->type) {
        case ATTRIBUTE_STRING:
            snprintf(text, sizeof(text), "%.*s", STR_ARG(a->value.string));
            break;
        case ATTRIBUTE_INT:
            snprintf(text, sizeof(text), "int %lld", (long long)a->value.integer);
            break;
        case ATTRIBUTE_DOUBLE:
            snprintf(text, sizeof(text), "%g s", a->value.number);
            break;
        case ATTRIBUTE_BOOL:
            snprintf(text, sizeof(text), "bool %s", a->value.boolean ? "true" : "false");
            break;
        case ATTRIBUTE_STRINGS:
            text[0] = '\0';
            for (size_t j = 0; j < a->value.strings.n; j++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "[%.*s]",
                         STR_ARG(a->value.strings.v[j]));
            break;
        }
        return text;
    }
    return NULL;
}

static inline void check_value(const char *key, const char *want)
{
    const char *value = value_of(key);

    if (!want)
        ck_assert_msg(!value, "%s is there: %s", key, value);
    else
        ck_assert_msg(value && strcmp(value, want) == 0, "%s is %s instead of %s", key,
                      value ? value : "not there", want);
}

#endif
