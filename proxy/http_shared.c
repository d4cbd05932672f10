/*
 * The end of what codecs share.
 */
#include "proxy/http_shared.h"

#include <stdlib.h>

#include "proxy/http2.h"

void http_shared_release(struct http_shared *s)
{
    free(s->spare_head);
    http2_common_free(s->http2);
}
