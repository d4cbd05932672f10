#include "proxy/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "mesh/config.h"
#include "mesh/directives.h"
#include "mesh/value.h"
#include "proxy/supervisor.h"

/* ---- what is wrong with a command line ---- */

int usage_error(const char *format, ...)
{
    va_list args;

    fputs("sidespan: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nTry 'sidespan help'.\n", stderr);
    return EXIT_USAGE;
}

static struct str nearest_option(const char *given, const struct option *known)
{
    struct str word = str_from(given);
    struct nearest nearest;

    nearest_init(&nearest, str_slice(word, 0, str_index(word, '=', 0)));
    for (; known->name; known++)
        nearest_try(&nearest, str_from(known->name));
    return nearest.best;
}

int usage_option_error(char **argv, const struct option *known, int returned)
{
    const char *word = argv[optind - 1];

    if (returned == ':')
        return usage_error("%s needs a value", word);
    if (strncmp(word, "--", 2) != 0)
        return usage_error("there is no option -%c", optopt);
    struct str best = nearest_option(word + 2, known);
    if (best.n > 0)
        return usage_error("there is no option %s; did you mean --%.*s?", word, STR_ARG(best));
    return usage_error("there is no option %s", word);
}

/* ---- check ---- */

static size_t count_routes(const struct direction *d)
{
    size_t n = d->n_routes;

    for (size_t i = 0; i < d->n_hosts; i++)
        n += d->hosts[i]->n_routes;
    return n;
}

void command_print_errors(const struct errors *errors)
{
    struct buffer text;

    buffer_init(&text, 0);
    config_print_errors(errors, &text);
    if (text.n > 0)
        fwrite(text.p, 1, text.n, stderr);
    buffer_release(&text);
}

/* The place is in a file, or it is a variable of the environment. */
static void print_warning(const struct error *w)
{
    if (w->at.line)
        fprintf(stderr, "warning: %s:%u:%u: %s\n", w->at.file, w->at.line, w->at.column, w->text);
    else
        fprintf(stderr, "warning: %s: %s\n", w->at.file, w->text);
}

int command_check_file(const char *path)
{
    struct errors errors = {0}, warnings = {0};
    struct sampler sampler;
    struct config *c = supervisor_load(path, false, &sampler, &errors, &warnings);

    command_print_errors(&errors);
    if (c)
        config_warnings(c, &warnings);
    for (size_t i = 0; i < warnings.n; i++)
        print_warning(&warnings.v[i]);
    if (c)
        printf("%s: ok (%zu routes, %zu clusters, hash %s)\n", path,
               count_routes(&c->inbound) + count_routes(&c->outbound), c->n_clusters, c->hash);
    errors_release(&errors);
    errors_release(&warnings);
    bool ok = c != NULL;
    config_unref(c);
    return ok ? EXIT_OK : EXIT_FAILED;
}

static int command_check(int argc, char **argv)
{
    if (argc != 2)
        return usage_error("check takes one FILE");
    return command_check_file(argv[1]);
}

/* ---- help and version ---- */

static int command_help(int argc, char **argv);

static int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("sidespan " SIDESPAN_VERSION);
    return EXIT_OK;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *help;
} commands[] = {
    {"check", command_check, "FILE", "read a configuration and say what is wrong with it"},
    {"explain", command_explain,
     "--config FILE [--traceparent T] [--inbound | --outbound]\n"
     "                        [--header 'NAME: VALUE']... [--source ADDRESS] 'GET "
     "http://HOST/PATH'",
     "say which route, target and faults a request gets, and why"},
    {"healthcheck", command_healthcheck, "[ADDRESS | --config FILE]",
     "ask a running sidecar whether it is ready"},
    {"help", command_help, "[directives]", "this text, or every directive of the configuration"},
    {"version", command_version, "", "print the version"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(void)
{
    puts("usage: sidespan --config FILE [--workers N] [--check]\n"
         "\n"
         "  --config FILE    the configuration: routes.conf(5)\n"
         "  --workers N      threads that carry requests; beats the file's `workers`\n"
         "  --check          read the configuration, say what is wrong with it, and end\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  sidespan %s %s\n      %s\n", commands[i].name, commands[i].arguments,
               commands[i].help);
    puts("\nSIGHUP reads the configuration again; SIGTERM ends what is under way, then the "
         "process.");
}

static int command_help(int argc, char **argv)
{
    struct buffer text;

    if (argc == 1) {
        print_usage();
        return EXIT_OK;
    }
    if (argc != 2 || strcmp(argv[1], "directives") != 0)
        return usage_error("help is followed by nothing or by \"directives\"");
    buffer_init(&text, 0);
    directives_print(&text);
    fwrite(text.p, 1, text.n, stdout);
    buffer_release(&text);
    return EXIT_OK;
}

/* ---- which ---- */

int command_run(int argc, char **argv)
{
    struct nearest nearest;

    nearest_init(&nearest, str_from(argv[0]));
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[0]) == 0)
            return commands[i].run(argc, argv);
        nearest_try(&nearest, str_from(commands[i].name));
    }
    if (nearest.best.n > 0)
        return usage_error("there is no command \"%s\"; did you mean \"%.*s\"?", argv[0],
                           STR_ARG(nearest.best));
    return usage_error("there is no command \"%s\"", argv[0]);
}
