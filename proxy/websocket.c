#include "proxy/websocket.h"

enum { OPCODE_CLOSE = 8, MASKED = 0x80, LENGTH_16 = 126, LENGTH_64 = 127, GOING_AWAY = 1001 };

static size_t length_bytes(uint8_t second)
{
    unsigned length = second & 0x7f;

    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

static size_t head_bytes(uint8_t second)
{
    return 2 + length_bytes(second) + (second & MASKED ? 4 : 0);
}

/* The head is whole. */
static void begin_payload(struct websocket_frames *f)
{
    size_t n = length_bytes(f->head[1]);

    f->left = n ? 0 : f->head[1] & 0x7f;
    for (size_t i = 0; i < n; i++)
        f->left = f->left << 8 | f->head[2 + i];
    f->closed |= (f->head[0] & 0x0f) == OPCODE_CLOSE;
    f->n = 0;
}

void websocket_feed(struct websocket_frames *f, struct str bytes)
{
    size_t at = 0;

    while (at < bytes.n) {
        if (f->left) {
            size_t step = f->left < bytes.n - at ? (size_t)f->left : bytes.n - at;

            f->left -= step;
            at += step;
            continue;
        }
        f->head[f->n++] = (uint8_t)bytes.p[at++];
        if (f->n >= 2 && f->n == head_bytes(f->head[1]))
            begin_payload(f);
    }
}

bool websocket_between(const struct websocket_frames *f)
{
    return f->left == 0 && f->n == 0 && !f->closed;
}

size_t websocket_going_away(uint8_t *out, uint32_t mask)
{
    const uint8_t key[4] = {(uint8_t)(mask >> 24), (uint8_t)(mask >> 16), (uint8_t)(mask >> 8),
                            (uint8_t)mask};
    size_t n = 0;

    out[n++] = 0x80 | OPCODE_CLOSE;
    out[n++] = (uint8_t)(mask ? MASKED | 2 : 2);
    for (size_t i = 0; mask && i < 4; i++)
        out[n++] = key[i];
    out[n++] = (uint8_t)(GOING_AWAY >> 8 ^ (mask ? key[0] : 0));
    out[n++] = (uint8_t)((GOING_AWAY & 0xff) ^ (mask ? key[1] : 0));
    return n;
}
