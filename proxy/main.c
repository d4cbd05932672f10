/*
 * sidespan: a tracing sidecar. Options here; what runs is in supervisor.c, the
 * subcommands in commands.c.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "proxy/commands.h"
#include "proxy/process.h"
#include "proxy/supervisor.h"

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'}, {"workers", required_argument, NULL, 'w'},
    {"check", no_argument, NULL, 'k'},        {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},      {0},
};

static bool read_workers(const char *text, unsigned *out)
{
    uint64_t n;

    if (!str_to_u64(str_from(text), &n) || n == 0 || n > CONFIG_WORKERS_MAX)
        return false;
    *out = (unsigned)n;
    return true;
}

int main(int argc, char **argv)
{
    struct supervisor_options run = {0};
    bool check = false;
    int c;

    process_keep_standard_descriptors();
    if (argc > 1 && argv[1][0] != '-')
        return command_run(argc - 1, argv + 1);
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":c:w:hV", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            run.config_path = optarg;
            break;
        case 'w':
            if (!read_workers(optarg, &run.workers))
                return usage_error("--workers is a number from 1 to %d", CONFIG_WORKERS_MAX);
            break;
        case 'k':
            check = true;
            break;
        case 'h':
            return command_run(1, (char *[]){(char[]){"help"}, NULL});
        case 'V':
            return command_run(1, (char *[]){(char[]){"version"}, NULL});
        default:
            return usage_option_error(argv, options, c);
        }
    }
    if (check && !run.config_path && optind + 1 == argc)
        run.config_path = argv[optind++];
    if (optind < argc)
        return usage_error("\"%s\" is not expected here", argv[optind]);
    if (!run.config_path)
        return usage_error("--config FILE is needed");
    return check ? command_check_file(run.config_path) : supervisor_run(&run);
}
