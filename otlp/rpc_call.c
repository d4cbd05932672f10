#include "otlp/rpc_call.h"

#include "base/grpc_status.h"

static inline bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.'))
            return false;
    }
    return s.n > 0;
}

bool rpc_method_parse(struct str path, struct rpc_method *out)
{
    struct str full = path.n > 0 && path.p[0] == '/' ? str_slice(path, 1, path.n) : path;
    size_t slash = str_index(full, '/', 0);

    *out = (struct rpc_method){.full = full};
    if (full.n == path.n || full.n > RPC_METHOD_BYTES_MAX || slash == full.n)
        return false;
    out->service = str_slice(full, 0, slash);
    out->name = str_slice(full, slash + 1, full.n);
    return is_word(out->service) && is_word(out->name);
}

unsigned rpc_call_status(const struct span *s)
{
    if (s->grpc_status >= 0)
        return (unsigned)s->grpc_status;
    if (s->error != SPAN_ERROR_NONE && (s->status == 0 || s->status == 200))
        return span_error_row(s->error)->grpc_status; /* as a client of gRPC would find it */
    return grpc_status_of_http(s->status);
}

#define CODE(code) (1u << (code))

bool rpc_status_is_error(enum span_kind kind, unsigned code)
{
    const unsigned servers = CODE(GRPC_UNKNOWN) | CODE(GRPC_DEADLINE_EXCEEDED) |
                             CODE(GRPC_UNIMPLEMENTED) | CODE(GRPC_INTERNAL) |
                             CODE(GRPC_UNAVAILABLE) | CODE(GRPC_DATA_LOSS);

    if (kind == SPAN_CLIENT)
        return code != GRPC_OK;
    return code <= GRPC_STATUS_MAX && (servers >> code & 1);
}
