#include "base/grpc_status.h"

static const struct {
    const char *name;
    unsigned http;
} codes[GRPC_STATUS_MAX + 1] = {
    [GRPC_OK] = {"OK", 200},
    [GRPC_CANCELLED] = {"CANCELLED", 499},
    [GRPC_UNKNOWN] = {"UNKNOWN", 500},
    [GRPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400},
    [GRPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504},
    [GRPC_NOT_FOUND] = {"NOT_FOUND", 404},
    [GRPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409},
    [GRPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403},
    [GRPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429},
    [GRPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 400},
    [GRPC_ABORTED] = {"ABORTED", 409},
    [GRPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400},
    [GRPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501},
    [GRPC_INTERNAL] = {"INTERNAL", 500},
    [GRPC_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [GRPC_DATA_LOSS] = {"DATA_LOSS", 500},
    [GRPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
};

const char *grpc_status_name(unsigned code)
{
    return code <= GRPC_STATUS_MAX ? codes[code].name : NULL;
}

bool grpc_status_named(struct str name, unsigned *code)
{
    for (unsigned i = 0; i <= GRPC_STATUS_MAX; i++)
        if (str_eq(name, str_from(codes[i].name))) {
            *code = i;
            return true;
        }
    return false;
}

unsigned grpc_status_of_http(unsigned http)
{
    switch (http) {
    case 400:
    case 431:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

unsigned grpc_status_to_http(unsigned code)
{
    return code <= GRPC_STATUS_MAX ? codes[code].http : 500;
}
