/*
 * Where the frames of a WebSocket begin and end (RFC 6455 section 5.2), so that a
 * close frame can be put between two of them. Payloads are not looked at. Pure.
 */
#ifndef SIDESPAN_PROXY_WEBSOCKET_H
#define SIDESPAN_PROXY_WEBSOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* What one side has sent so far. Zeroed is the beginning. */
struct websocket_frames {
    uint64_t left; /* of the payload */
    uint8_t n;     /* bytes of a head that is not whole */
    uint8_t head[14];
    bool closed; /* a close frame was among them: nothing may follow */
};

void websocket_feed(struct websocket_frames *f, struct str bytes);
/* A frame of ours may follow here. */
bool websocket_between(const struct websocket_frames *f);

enum { WEBSOCKET_CLOSE_MAX = 8 };
/* A close frame with 1001, going away (section 7.4.1), into out[WEBSOCKET_CLOSE_MAX]; masked as a
 * client's must be, unless mask is 0. Returns its length. */
size_t websocket_going_away(uint8_t *out, uint32_t mask);

#endif
