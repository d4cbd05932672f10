/*
 * Where a frame may be put between others.
 */
#include "proxy/websocket.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *bytes;
    size_t n;
    bool between;
} streams[] = {
    {"", 0, true},
    {"\x81\x05hello", 7, true},
    {"\x81\x05hell", 6, false},
    {"\x81", 1, false},
    {"\x81\x80\x01\x02\x03", 5, false}, /* amid the mask of an empty frame */
    {"\x81\x80\x01\x02\x03\x04", 6, true},
    {"\x01\x02hi\x80\x01!", 7, true}, /* a message in two frames */
    {"\x01\x02hi", 4, true},          /* control frames may stand amid one */
    {"\x89\x00\x8a\x00", 4, true},
    {"\x82\x7e\x00", 3, false},
    {"\x82\x7e\x00\x03"
     "abc",
     7, true},
    {"\x82\x7f\0\0\0\0\0\0\0\x02"
     "ab",
     12, true},
    {"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"
     "ab",
     12, false},
    {"\x82\xfe\x00\x01mask!", 9, true},
    {"\x88\x02\x03\xe8", 4, false}, /* closed: nothing may follow */
};

START_TEST(frames_are_followed_however_they_are_cut)
{
    struct websocket_frames whole = {0}, single = {0};
    struct str s = str_of(streams[_i].bytes, streams[_i].n);

    websocket_feed(&whole, s);
    for (size_t i = 0; i < s.n; i++)
        websocket_feed(&single, str_slice(s, i, i + 1));
    ck_assert_int_eq(websocket_between(&whole), streams[_i].between);
    ck_assert_int_eq(websocket_between(&single), streams[_i].between);
}
END_TEST

START_TEST(going_away_is_1001_masked_for_servers)
{
    uint8_t out[WEBSOCKET_CLOSE_MAX];

    ck_assert_uint_eq(websocket_going_away(out, 0), 4);
    ck_assert_int_eq(memcmp(out, "\x88\x02\x03\xe9", 4), 0);
    ck_assert_uint_eq(websocket_going_away(out, 0x11223344), 8);
    ck_assert_int_eq(memcmp(out, "\x88\x82\x11\x22\x33\x44\x12\xcb", 8), 0);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int main(void)
{
    Suite *suite = suite_create("websocket");
    TCase *tc = tcase_create("websocket");
    SRunner *runner = srunner_create(suite);

    tcase_add_loop_test(tc, frames_are_followed_however_they_are_cut, 0, COUNT(streams));
    tcase_add_test(tc, going_away_is_1001_masked_for_servers);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
