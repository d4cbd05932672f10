/*
 * The subcommands of sidespan, and what all of them share: one way to read
 * options and to say what is wrong with them.
 */
#ifndef SIDESPAN_PROXY_COMMANDS_H
#define SIDESPAN_PROXY_COMMANDS_H

#include <getopt.h>

#include "base/error.h"

/* Exit statuses. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Runs the subcommand argv[0] and returns its exit status. */
int command_run(int argc, char **argv);

/* All that is wrong, each with its place, on standard error. */
void command_print_errors(const struct errors *errors);

/* Reads the file as a start would and prints "FILE: ok (...)" or all that is wrong. */
int command_check_file(const char *path);

/* sidespan: TEXT, and where help is to be had. Returns EXIT_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For what getopt_long(3) returned, '?' or ':', with an option string that begins with ':' and
 * opterr 0: names the option, and the nearest known one. Returns EXIT_USAGE. */
int usage_option_error(char **argv, const struct option *known, int returned);

/* Rows of commands.c that have a file of their own. */
int command_explain(int argc, char **argv);
int command_healthcheck(int argc, char **argv);

#endif
