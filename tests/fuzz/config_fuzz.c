/*
 * The whole of the language: a text becomes a config, or a list of mistakes.
 *
 * Must hold: a refused text has mistakes, each printed on lines of its own
 * without control characters; an accepted one writes itself as a text that is
 * accepted too, with the same hash; a request is routed and explained.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/config_text.h"
#include "mesh/explain.h"
#include "mesh/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *environment(const char *name)
{
    if (strcmp(name, "A") == 0)
        return "a; } \" # {";
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void check_refused(const struct errors *errors)
{
    struct buffer out;

    assert(errors->n > 0 && errors->n <= ERRORS_MAX);
    buffer_init(&out, 0);
    config_print_errors(errors, &out);
    assert(!out.failed && out.n < errors->n * 1000 + 100);
    for (size_t i = 0; i < out.n; i++)
        assert(out.p[i] == '\n' || out.p[i] == '\t' || (unsigned char)out.p[i] >= ' ');
    buffer_release(&out);
}

static void check_accepted(struct config *c)
{
    struct errors errors = {0};
    struct buffer text;

    buffer_init(&text, 0);
    config_write(c, false, &text);
    struct config *again =
        config_parse("/nowhere/again.conf", buffer_str(&text), environment, &errors);
    if (!again) {
        buffer_reset(&text);
        config_print_errors(&errors, &text);
        fprintf(stderr, "%.*s", STR_ARG(buffer_str(&text)));
    }
    assert(again && strcmp(again->hash, c->hash) == 0);
    buffer_reset(&text);

    struct header v[] = {{STR("x-a"), STR("1"), HEADER_OTHER}};
    struct headers headers = {.v = v, .n = 1, .cap = 1};
    struct request r = {.method = STR("GET"),
                        .authority = STR("a"),
                        .path = STR("/a/b"),
                        .query = STR("c=d"),
                        .headers = &headers,
                        .trace_id = {{1}}};
    explain_request(again, &again->inbound, &r, &text);
    explain_request(again, &again->outbound, &r, &text);
    buffer_release(&text);
    config_unref(again);
    errors_release(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct errors errors = {0};

    /* The disk is not part of the input: names without a slash are sought where nothing is. */
    if (size && memchr(data, '/', size) && memmem(data, size, "include", 7))
        return 0;
    struct config *c = config_parse("/nowhere/a.conf", text, environment, &errors);
    if (c) {
        assert(errors.n == 0);
        check_accepted(c);
    } else {
        check_refused(&errors);
    }
    config_unref(c);
    errors_release(&errors);
    return 0;
}
