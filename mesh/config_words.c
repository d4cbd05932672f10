#include "mesh/config_words.h"

#include "mesh/config.h"

const char *const unmatched_words[] = {
    [UNMATCHED_PASS] = "pass", [UNMATCHED_REJECT] = "reject", NULL};

const char *const split_words[] = {[SPLIT_BY_TRACE] = "trace",
                                   [SPLIT_BY_HEADER] = "header",
                                   [SPLIT_BY_COOKIE] = "cookie",
                                   [SPLIT_BY_SOURCE] = "source",
                                   NULL};

const char *const header_action_words[] = {[HEADER_SET] = "set-header",
                                           [HEADER_ADD] = "add-header",
                                           [HEADER_REMOVE] = "remove-header",
                                           NULL};

const char *const message_words[] = {"request", "response", NULL};

const char *const protocol_words[] = {
    [PROTOCOL_AUTO] = "auto", [PROTOCOL_H1] = "h1", [PROTOCOL_H2] = "h2", NULL};

const char *const balance_words[] = {[BALANCE_ROUND_ROBIN] = "round-robin",
                                     [BALANCE_LEAST_REQUEST] = "least-request",
                                     [BALANCE_RANDOM] = "random",
                                     NULL};

const char *const sample_words[] = {
    [SAMPLE_ALWAYS] = "always", [SAMPLE_NEVER] = "never", [SAMPLE_RATIO] = "ratio", NULL};

const char *const compression_words[] = {"none", "gzip", NULL};

const char *const log_level_words[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};

const char *const log_format_words[] = {"text", "json", NULL};
