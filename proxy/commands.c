#include "proxy/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "mesh/config.h"
#include "mesh/directives.h"
#include "mesh/value.h"
#include "proxy/environment.h"
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
        return usage_error(optopt == 't' ? "there is no option -%c; write: --check"
                                         : "there is no option -%c",
                           optopt);
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

/* Addresses that are written in `to` are clusters for the program, and for nobody else. */
static void print_ok(const char *path, const struct config *c)
{
    size_t routes = count_routes(&c->inbound) + count_routes(&c->outbound), clusters = 0;

    for (size_t i = 0; i < c->n_clusters; i++)
        clusters += !c->clusters[i]->implicit;
    printf("%s: ok (%zu %s, %zu %s, hash %s)\n", path, routes, routes == 1 ? "route" : "routes",
           clusters, clusters == 1 ? "cluster" : "clusters", c->hash);
}

/* What comes on standard input, as if it were a file of this folder. */
static struct config *load_input(struct sampler *sampler, struct errors *errors,
                                 struct errors *warnings)
{
    enum { INPUT_MAX = 16 * 1024 * 1024 };
    char part[4096];
    struct buffer text;
    struct config *c = NULL;
    size_t n;

    buffer_init(&text, INPUT_MAX);
    while ((n = fread(part, 1, sizeof(part), stdin)) > 0 && buffer_add_str(&text, str_of(part, n)))
        ;
    if (n > 0 || ferror(stdin))
        errors_add(errors, (struct place){.file = "standard input"},
                   n > 0 ? "is longer than 16m" : "cannot be read");
    else
        c = config_parse("standard input", buffer_str(&text), NULL, errors);
    if (c)
        environment_apply(c, NULL, sampler, warnings);
    buffer_release(&text);
    return c;
}

int command_check_file(const char *path)
{
    bool input = strcmp(path, "-") == 0;
    struct errors errors = {0}, warnings = {0};
    struct sampler sampler;
    struct config *c = input ? load_input(&sampler, &errors, &warnings)
                             : supervisor_load(path, false, &sampler, &errors, &warnings);

    command_print_errors(&errors);
    if (c)
        config_warnings(c, clock_wall(), &warnings);
    for (size_t i = 0; i < warnings.n; i++)
        print_warning(&warnings.v[i]);
    if (c)
        print_ok(input ? "standard input" : path, c);
    errors_release(&errors);
    errors_release(&warnings);
    bool ok = c != NULL;
    config_unref(c);
    return ok ? EXIT_OK : EXIT_FAILED;
}

static int command_check(int argc, char **argv)
{
    int status = EXIT_OK;

    if (argc < 2)
        return usage_error("check needs a FILE, or - for standard input");
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0' && strcmp(argv[i], "--") != 0)
            return usage_error("check has no option %s; ./%s is a file", argv[i], argv[i]);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0 && command_check_file(argv[i]) != EXIT_OK)
            status = EXIT_FAILED;
    }
    return status;
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
    {"check", command_check, "FILE... | -", "read a configuration and say what is wrong with it"},
    {"explain", command_explain,
     "--config FILE [--traceparent T] [--inbound | --outbound]\n"
     "                        [--header 'NAME: VALUE']... [--source ADDRESS] 'GET "
     "http://HOST/PATH'",
     "say which route, target and faults a request gets, and why"},
    {"healthcheck", command_healthcheck, "[ADDRESS | --config FILE]",
     "ask a running sidecar whether it is ready"},
    {"help", command_help, "[directives | COMMAND | DIRECTIVE]",
     "this text, every directive of the configuration, or one word of either"},
    {"version", command_version, "", "print the version"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_command(const struct command *c)
{
    printf("  sidespan %s%s%s\n      %s\n", c->name, c->arguments[0] ? " " : "", c->arguments,
           c->help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void print_usage(void)
{
    puts("usage: sidespan --config FILE [--workers N] [--check]\n"
         "\n"
         "  --config FILE    the configuration: routes.conf(5)\n"
         "  --workers N      threads that carry requests; beats the file's `workers`\n"
         "  --check          read the configuration, say what is wrong with it, and end\n");
    for (size_t i = 0; i < COMMANDS; i++)
        print_command(&commands[i]);
    puts("\nSIGHUP reads the configuration again; SIGTERM ends what is under way, then the "
         "process.");
}

static int help_for(const char *word)
{
    const struct command *c = find_command(word);
    struct buffer text;
    struct str nearest;

    buffer_init(&text, 0);
    if (c)
        print_command(c);
    bool known = directives_print_named(str_from(word), &text, &nearest) || c;
    if (text.n > 0)
        fwrite(text.p, 1, text.n, stdout);
    buffer_release(&text);
    if (known)
        return EXIT_OK;
    if (nearest.n > 0)
        return usage_error("\"%s\" is no command and no directive; did you mean \"%.*s\"?", word,
                           STR_ARG(nearest));
    return usage_error("\"%s\" is no command and no directive", word);
}

static int command_help(int argc, char **argv)
{
    struct buffer text;

    if (argc == 1) {
        print_usage();
        return EXIT_OK;
    }
    if (argc != 2)
        return usage_error("help is followed by nothing or by one word");
    if (strcmp(argv[1], "directives") != 0)
        return help_for(argv[1]);
    buffer_init(&text, 0);
    directives_print(&text);
    fwrite(text.p, 1, text.n, stdout);
    buffer_release(&text);
    return EXIT_OK;
}

/* ---- which ---- */

/* Commands of other programs. */
static const struct {
    const char *word, *cure;
} others[] = {
    {"run", "write: sidespan --config FILE"},
    {"start", "write: sidespan --config FILE"},
    {"serve", "write: sidespan --config FILE"},
    {"test", "write: sidespan check FILE"},
    {"validate", "write: sidespan check FILE"},
    {"reload",
     "send the process SIGHUP, or ask its admin port: curl -X POST 127.0.0.1:15000/reload"},
    {"stop", "send the process SIGTERM"},
    {"status", "write: sidespan healthcheck"},
};

int command_run(int argc, char **argv)
{
    struct nearest nearest;
    const struct command *c = find_command(argv[0]);

    for (int i = 1; c && i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return help_for(argv[0]);
    }
    if (c)
        return c->run(argc, argv);
    if (access(argv[0], F_OK) == 0)
        return usage_error("\"%s\" is a file: sidespan --config %s runs it, sidespan check %s says "
                           "what is wrong with it",
                           argv[0], argv[0], argv[0]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(others[i].word, argv[0]) == 0)
            return usage_error("there is no command \"%s\"; %s", argv[0], others[i].cure);
    }
    nearest_init(&nearest, str_from(argv[0]));
    for (size_t i = 0; i < COMMANDS; i++)
        nearest_try(&nearest, str_from(commands[i].name));
    if (nearest.best.n > 0)
        return usage_error("there is no command \"%s\"; did you mean \"%.*s\"?", argv[0],
                           STR_ARG(nearest.best));
    return usage_error("there is no command \"%s\"", argv[0]);
}
