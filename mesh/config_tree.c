#include "mesh/config_tree.h"

#include <stdint.h>
#include <stdio.h>

enum { CHUNK_BYTES = 16 << 10, NAME_BYTES = 128 }; /* of a variable: as the lexer has it */

/* The value of a variable is its name: what the text does not show stays unshown. */
static const char *itself(const char *name)
{
    static _Thread_local char shown[NAME_BYTES + sizeof("${}")];

    snprintf(shown, sizeof(shown), "${%s}", name);
    return shown;
}

bool config_tree_read(struct config_tree *t, struct str text)
{
    struct sources sources;
    struct report report;
    struct error err = {0};

    *t = (struct config_tree){0};
    arena_init(&t->arena, CHUNK_BYTES, 0);
    sources_init(&sources, &t->arena, &t->arena);
    sources.bytes_left = SIZE_MAX; /* it is no file, and longer than the one it was made of */
    report_init(&report, &sources);
    struct parser parser = {.sources = &sources, .report = &report, .environment = itself};
    const struct source *source = source_from_text(&sources, "config", text, &err);
    if (source)
        t->first = parser_run(&parser, source);
    bool good = source && report.n == 0;
    report_release(&report);
    return good;
}

void config_tree_release(struct config_tree *t)
{
    arena_release(&t->arena);
    t->first = NULL;
}
