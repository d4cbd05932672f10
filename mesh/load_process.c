/*
 * What concerns the process as a whole: service, limits, timeouts, workers,
 * admin, log.
 */
#include "mesh/config_words.h"
#include "mesh/loader.h"

/* ---- service ---- */

void read_service(struct loader *ld, const struct directive *row, const struct statement *s,
                  struct block *in)
{
    struct service_config *service = &ld->config->service;
    struct block b;

    if (!s->bad) {
        if (value_is_text(s->args[0].text))
            service->name = keep(ld, s->args[0].text);
        else
            wrongf(ld, &s->args[0], "the name of the service is empty or has control characters");
    }
    block_init(&b, CONTEXT_SERVICE_NAME, IN(CONTEXT_SERVICE), service);
    load_block(ld, &b, s->block);
}

void read_attribute_of_service(struct loader *ld, const struct directive *row,
                               const struct statement *s, struct block *in)
{
    static const char *const own[][2] = {
        {"service.name", "service NAME"},
        {"service.namespace", "namespace"},
        {"service.version", "version"},
        {"service.instance.id", "instance"},
    };
    struct words w = words_of(row, s);
    struct service_config *service = in->target;

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (word_is(&s->args[0], own[i][0])) {
            wrongf(ld, &s->args[0], "\"%s\" is said by \"%s\"", own[i][0], own[i][1]);
            return;
        }
    read_attribute_into(ld, &w, &service->attributes, &service->n_attributes);
}

/* ---- limits, timeouts ---- */

/* A size that lies within another one cannot be more than it. */
static void check_part(struct loader *ld, const struct block *b, const char *part,
                       size_t part_bytes, const char *whole, size_t whole_bytes, const char *why)
{
    struct buffer text;
    struct held held;

    if (part_bytes <= whole_bytes)
        return;
    hold_buffer(&held, &text);
    buffer_printf(&text, "%s (", part);
    value_write_size(part_bytes, &text);
    buffer_printf(&text, ") is more than %s (", whole);
    value_write_size(whole_bytes, &text);
    buffer_printf(&text, "), which %s", why);
    report_at(ld->report, block_first(b, block_has(b, part) ? part : whole), "%.*s",
              STR_ARG(buffer_str(&text)));
    let_go(&held);
}

void read_limits(struct loader *ld, const struct directive *row, const struct statement *s,
                 struct block *in)
{
    struct limits *limits = &ld->config->limits;
    struct block b;

    block_init(&b, CONTEXT_LIMITS_NAME, IN(CONTEXT_LIMITS), limits);
    load_block(ld, &b, s->block);
    if (!block_has(&b, "inbound-connections"))
        limits->inbound_connections = limits->connections;
    if (!block_has(&b, "outbound-connections"))
        limits->outbound_connections = limits->connections;
    check_part(ld, &b, "url-bytes", limits->url_bytes, "header-bytes", limits->header_bytes,
               "counts the URL too");
    check_part(ld, &b, "stream-window", limits->stream_window, "connection-window",
               limits->connection_window, "all streams share");
}

void read_timeouts(struct loader *ld, const struct directive *row, const struct statement *s,
                   struct block *in)
{
    struct block b;

    block_init(&b, CONTEXT_TIMEOUTS_NAME, IN(CONTEXT_TIMEOUTS), &ld->config->timeouts);
    load_block(ld, &b, s->block);
}

/* ---- admin, log ---- */

void read_admin(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    const struct word *word = &s->args[0];
    struct admin_config *admin = &ld->config->admin;
    struct error err = {0};

    admin->at = word->at;
    admin->on = !word_is(word, "off");
    if (admin->on &&
        !value_location(word->text, ADDRESS_TO_LISTEN, ld->arena, &admin->location, &err)) {
        wrong(ld, word, &err);
        admin->on = false; /* nothing to compare others with */
    }
}

void read_log_level(struct loader *ld, const struct directive *row, const struct statement *s,
                    struct block *in)
{
    struct words w = words_of(row, s);
    size_t index;

    if (word_choice(ld, &w, words_next(&w), log_level_words, &index))
        ld->config->log_level = (enum log_level)index;
}

void read_log_format(struct loader *ld, const struct directive *row, const struct statement *s,
                     struct block *in)
{
    struct words w = words_of(row, s);
    size_t index;

    if (word_choice(ld, &w, words_next(&w), log_format_words, &index))
        ld->config->log_json = index == 1;
}
