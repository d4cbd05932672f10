/*
 * A block of fields that comes in several frames, on its way to nghttp2, which
 * ends the connection for a field of more than 64 KiB. Such a field is taken
 * out of the block. A short one stands in for it, with the same effect on the
 * table of the compression, and on_header() is given the value from here; or,
 * where that is over the limit, is told so. A block in one frame has no such field.
 */
#include <stdlib.h>

#include "proxy/http2_huffman.h"
#include "proxy/http2_private.h"
#include "proxy/http_rules.h"

enum {
    NGHTTP2_STRING_MAX = 65536, /* it takes no longer one */
    TABLE_BYTES = 4096, /* of the compression, since we set no other (RFC 7541 section 4.2) */
    LENGTH_BYTES = 6,   /* of a string: more are an error */
    PRIORITY_BYTES = 5,
    STATIC_PATH = 4, /* :path in the static table, twice */
};

/* What is read next (RFC 7541 section 6). */
enum scan { SCAN_FIELD, SCAN_INDEX, SCAN_NAME_LENGTH, SCAN_NAME, SCAN_VALUE_LENGTH, SCAN_VALUE };

struct http2_block {
    uint32_t id;
    uint32_t bytes; /* of all its frames so far */
    uint32_t
        fragment;  /* bytes of the block that are to come in this frame; what follows is padding */
    uint32_t left; /* of the string that is read */
    uint64_t length; /* of a string, as far as it was read */
    uint8_t scan;
    uint8_t front;    /* octets before the block, in this frame */
    bool padded;      /* the first of these says how many octets follow it */
    bool first_octet; /* the next is the first of a length */
    uint8_t shift;    /* of the next octet of a length */
    bool literal;     /* not an index alone */
    bool adds;        /* to the table */
    bool path;
    bool huffman;
    bool swallowed;                   /* the string is not given to nghttp2, */
    bool kept;                        /* but kept in text */
    bool nameless;                    /* the name was not given either */
    bool too_long;                    /* more than the limit lets through */
    unsigned char held[LENGTH_BYTES]; /* of a length that came in parts */
    uint8_t n_held;
    struct buffer text;
    struct str value; /* for the field that is being given */
};

void http2_block_free(struct http2 *h)
{
    if (!h->block)
        return;
    buffer_release(&h->block->text);
    free(h->block);
    h->block = NULL;
}

uint32_t http2_block_id(const struct http2 *h)
{
    return h->block ? h->block->id : 0;
}

bool http2_block_value(const struct http2 *h, struct str *value)
{
    if (h->block && h->block->value.p)
        *value = h->block->value;
    return !h->block || !h->block->too_long;
}

static bool fail(struct http2 *h, uint32_t code)
{
    http2_terminate(h, code, SPAN_ERROR_PROTOCOL);
    return false;
}

static bool no_memory(struct http2 *h)
{
    http2_terminate(h, NGHTTP2_INTERNAL_ERROR, SPAN_ERROR_OVERLOAD);
    return false;
}

/* ---- what is given ---- */

static bool give_head(struct http2 *h, size_t n, uint8_t type, uint8_t flags)
{
    uint32_t id = h->block->id;
    const char head[HTTP2_FRAME_HEAD] = {(char)(n >> 16),  (char)(n >> 8),  (char)n,
                                         (char)type,       (char)flags,     (char)(id >> 24),
                                         (char)(id >> 16), (char)(id >> 8), (char)id};

    return http2_give(h, head, sizeof head);
}

static bool give(struct http2 *h, const void *p, size_t n)
{
    return n == 0 || (give_head(h, n, NGHTTP2_CONTINUATION, 0) && http2_give(h, p, n));
}

bool http2_block_begin(struct http2 *h, uint32_t id, uint8_t flags, uint32_t length)
{
    struct http2_block *b = calloc(1, sizeof *b);

    if (!b)
        return no_memory(h);
    buffer_init(&b->text, 0);
    b->id = id;
    h->block = b;
    b->padded = flags & NGHTTP2_FLAG_PADDED;
    b->front =
        (uint8_t)((b->padded ? 1 : 0) + (flags & NGHTTP2_FLAG_PRIORITY ? PRIORITY_BYTES : 0));
    if (length < b->front)
        return fail(h, NGHTTP2_FRAME_SIZE_ERROR);
    b->fragment = length - b->front;
    return give_head(h, 0, NGHTTP2_HEADERS, flags & NGHTTP2_FLAG_END_STREAM);
}

void http2_block_goes_on(struct http2 *h, uint32_t length)
{
    h->block->fragment = length;
}

bool http2_block_end(struct http2 *h)
{
    struct http2_block *b = h->block;
    bool whole = b->scan == SCAN_FIELD;
    /* Before it is given: this may end the connection, and the block with it. */
    bool given = whole && give_head(h, 0, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS);

    http2_block_free(h);
    return whole ? given : fail(h, NGHTTP2_COMPRESSION_ERROR);
}

/* ---- a field that is too long for nghttp2 ---- */

static bool give_name(struct http2 *h)
{
    static const char name[] = "\001x";

    h->block->nameless = true;
    return give(h, name, 2);
}

/* A value that is larger than the table empties it, as the true one does (RFC 7541 section 4.4). */
static bool give_large_value(struct http2 *h, char fill)
{
    char value[3 + TABLE_BYTES];

    value[0] = 127;
    value[1] = (char)(((TABLE_BYTES - 127) & 127) | 128);
    value[2] = (TABLE_BYTES - 127) >> 7;
    memset(value + 3, fill, TABLE_BYTES);
    return give(h, value, sizeof value);
}

/* nghttp2 judges what it is given: in the place of a value that no field may have stands another
 * one, so that a line end never gets into a field of HTTP/1. */
static bool give_stand_in(struct http2 *h)
{
    bool valid = field_value_valid(h->block->value);
    const char fill = !valid ? '\n' : h->block->path ? '/' : '0';
    const char value[] = {1, fill};

    return h->block->adds ? give_large_value(h, fill) : give(h, value, sizeof value);
}

/* Its value is whole. */
static bool give_swallowed(struct http2 *h)
{
    struct http2_block *b = h->block;
    struct str text = str_of(b->text.p ? b->text.p : "", b->text.n);
    char *decoded = NULL;
    bool good = true;

    if (b->kept && b->huffman) {
        size_t n;

        if (!(decoded = malloc(HTTP2_HUFFMAN_MOST(text.n))))
            return no_memory(h);
        good = http2_huffman_decode(text, decoded, &n);
        text = str_of(decoded, n);
    }
    if (b->kept)
        b->value = text;
    good = good ? give_stand_in(h) : fail(h, NGHTTP2_COMPRESSION_ERROR);
    b->value = (struct str){0};
    buffer_release(&b->text);
    buffer_init(&b->text, 0);
    free(decoded);
    return good;
}

/* ---- the scan ---- */

static void field_begins(struct http2_block *b, unsigned char c)
{
    unsigned prefix = c & 0x80   ? 0x7f
                      : c & 0x40 ? 0x3f
                      : c & 0x20 ? 0x1f
                                 : 0x0f,
             index = c & prefix;

    b->literal = !(c & 0x80) && (c & 0x60) != 0x20;
    b->adds = !(c & 0x80) && c & 0x40;
    b->path = index == STATIC_PATH || index == STATIC_PATH + 1;
    b->nameless = false;
    b->first_octet = true;
    if (index == prefix)
        b->scan = SCAN_INDEX;
    else if (b->literal)
        b->scan = index ? SCAN_VALUE_LENGTH : SCAN_NAME_LENGTH;
}

static void index_octet(struct http2_block *b, unsigned char c)
{
    if (!(c & 0x80))
        b->scan = b->literal ? SCAN_VALUE_LENGTH : SCAN_FIELD;
}

/* Section 5.1. False: it is too long. *whole: it was the last. */
static bool length_octet(struct http2_block *b, unsigned char c, bool *whole)
{
    if (b->first_octet) {
        b->huffman = c & 0x80;
        b->length = c & 0x7f;
        b->shift = 0;
        b->first_octet = false;
        *whole = b->length < 0x7f;
        return true;
    }
    if (b->shift > 7 * (LENGTH_BYTES - 2))
        return false;
    b->length += (uint64_t)(c & 0x7f) << b->shift;
    b->shift = (uint8_t)(b->shift + 7);
    *whole = !(c & 0x80);
    return b->length <= UINT32_MAX;
}

static bool string_over(struct http2 *h)
{
    struct http2_block *b = h->block;
    bool value = b->scan == SCAN_VALUE, swallowed = b->swallowed;

    b->scan = value ? SCAN_FIELD : SCAN_VALUE_LENGTH;
    b->first_octet = true;
    b->swallowed = false;
    return !value || !swallowed || give_swallowed(h);
}

/* Its length is known: whether nghttp2 may have it. */
static void string_begins(struct http2 *h)
{
    struct http2_block *b = h->block;
    bool name = b->scan == SCAN_NAME_LENGTH;

    b->left = (uint32_t)b->length;
    b->scan = name ? SCAN_NAME : SCAN_VALUE;
    b->swallowed = b->left > NGHTTP2_STRING_MAX || (!name && b->nameless && b->adds);
    b->kept = b->swallowed && !name && !b->nameless && b->left <= http2_head_limit(h);
}

/* Part of a block, as it came: from..at of it is to be given. */
struct part {
    const unsigned char *p;
    size_t n, from, at;
    size_t mark; /* where the length begins that is being read */
};

static bool give_up_to(struct http2 *h, struct part *in, size_t end)
{
    size_t from = in->from;

    in->from = in->at;
    return give(h, in->p + from, end - from);
}

static bool scan_length(struct http2 *h, struct part *in)
{
    struct http2_block *b = h->block;
    bool whole, name = b->scan == SCAN_NAME_LENGTH;

    if (b->first_octet)
        in->mark = in->at;
    if (!length_octet(b, in->p[in->at++], &whole))
        return fail(h, NGHTTP2_COMPRESSION_ERROR);
    if (!whole)
        return true;
    string_begins(h);
    if (b->swallowed) {
        b->n_held = 0;
        if (!give_up_to(h, in, in->mark)) /* the fields before it are told as they are */
            return false;
        b->too_long |= !b->kept;
        if (name && !give_name(h))
            return false;
    } else if (b->n_held) {
        if (!give(h, b->held, b->n_held))
            return false;
        b->n_held = 0;
    }
    return b->left || string_over(h);
}

static bool scan_string(struct http2 *h, struct part *in)
{
    struct http2_block *b = h->block;
    size_t left = in->n - in->at, step = b->left < left ? b->left : left;

    if (b->swallowed && b->kept && !buffer_add(&b->text, in->p + in->at, step))
        return no_memory(h);
    in->at += step;
    b->left -= (uint32_t)step;
    if (b->swallowed)
        in->from = in->at;
    return b->left || string_over(h);
}

/* What has come of a length waits for the rest of it. */
static bool end_part(struct http2 *h, struct part *in)
{
    struct http2_block *b = h->block;
    bool amid_length =
        (b->scan == SCAN_NAME_LENGTH || b->scan == SCAN_VALUE_LENGTH) && !b->first_octet;

    if (!amid_length)
        return give_up_to(h, in, in->n);
    memcpy(b->held + b->n_held, in->p + in->mark, in->n - in->mark);
    b->n_held = (uint8_t)(b->n_held + in->n - in->mark);
    return give_up_to(h, in, in->mark);
}

static bool scan(struct http2 *h, const unsigned char *p, size_t n)
{
    struct part in = {.p = p, .n = n};

    while (in.at < n) {
        struct http2_block *b = h->block;
        bool good = true;

        switch ((enum scan)b->scan) {
        case SCAN_FIELD:
            field_begins(b, p[in.at++]);
            break;
        case SCAN_INDEX:
            index_octet(b, p[in.at++]);
            break;
        case SCAN_NAME_LENGTH:
        case SCAN_VALUE_LENGTH:
            good = scan_length(h, &in);
            break;
        case SCAN_NAME:
        case SCAN_VALUE:
            good = scan_string(h, &in);
            break;
        }
        if (!good)
            return false;
    }
    return end_part(h, &in);
}

/* ---- its frames ---- */

static bool front_octet(struct http2 *h, unsigned char c)
{
    struct http2_block *b = h->block;

    b->front--;
    if (!b->padded)
        return true;
    b->padded = false;
    if (c > b->fragment)
        return fail(h, NGHTTP2_PROTOCOL_ERROR);
    b->fragment -= c;
    return true;
}

bool http2_block_take(struct http2 *h, const char *data, size_t n)
{
    const unsigned char *p = (const unsigned char *)data;
    struct http2_block *b = h->block;

    b->bytes += (uint32_t)n;
    if (b->bytes > HTTP2_BOMB_FACTOR * http2_head_limit(h)) {
        http2_abused(h, ABUSE_HEADER_LIST, NGHTTP2_ENHANCE_YOUR_CALM);
        return false;
    }
    for (; n && b->front; n--)
        if (!front_octet(h, *p++))
            return false;
    if (n > b->fragment)
        n = b->fragment;
    b->fragment -= (uint32_t)n;
    return scan(h, p, n);
}
