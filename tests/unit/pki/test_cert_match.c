#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_match.h"

/* A certificate on the sample key of RFC 6979 A.2.5, issuer CN=Vector CA. */
static const char vector[] =
        "MIIBaDCCAQ2gAwIBAgIFAIdlQyEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJVmVjdG9yIENBMB4XDTI2MDEwMTAwMDAwMFoXDTI2MDQwMTAwMD"
        "Aw"
        "MFowFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARg/"
        "tS6JVqdMclh63TGNW1owEm4kjth+mzmaWIuYPKf"
        "tnkD/"
        "hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZo0owSDAlBgNVHREEHjAcggtleGFtcGxlLmNvbYINKi5leGFtcGxlLmNvbTAfBgNVHSME"
        "GDAWgBRpiFtrh0ZAQeGze4R7oK4s3gHI1DAKBggqhkjOPQQDAgNJADBGAiEAonHVJXRzIrxJB3RgNgv4p2vn4C5UAWoBAgKETyC4+"
        "X4CIQDjwGKN"
        "VTjprfjATZD+CbkhfknczTHzaDIfDkpy6yDjuw==";

static int setup(void **state)
{
        struct buf *der = calloc(1, sizeof *der);
        uint8_t *bytes = NULL;
        size_t len = 0;
        assert_true(base64_decode(vector, strlen(vector), &bytes, &len));
        buf_append(der, bytes, len);
        free(bytes);
        *state = der;
        return 0;
}

static int teardown(void **state)
{
        buf_done(*state);
        free(*state);
        return 0;
}

static void a_key_is_known_by_both_forms_of_its_point(void **state)
{
        const struct buf *der = *state;
        struct cert_names_of_key n;
        struct err e;
        assert_true(cert_key_names((const uint8_t *)der->data, der->len, &n, &e));
        assert_string_equal(n.spki, "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4");
        assert_string_equal(n.spki_compressed, "a9a7369789892d40719256b6d0e2905087d1eb8da7fc8d3b3e9c73d65496640f");
        assert_string_equal(n.modulus, "");
        assert_string_equal(n.aki, "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
        assert_false(cert_key_names((const uint8_t *)der->data, der->len - 1, &n, &e));
        assert_string_equal(e.code, "cert.format");
}

static void an_issuer_is_compared_as_a_name(void **state)
{
        const struct buf *der = *state;
        static const struct {
                const char *text;
                bool same;
        } row[] = { { "CN=Vector CA", true }, { "cn=vector  ca", true }, { "/CN=Vector CA", true },
                { " CN = Vector CA ", true }, { "CN=Vector\\20CA", true }, { "CN=Vector CA,O=x", false },
                { "CN=Vector", false }, { "Vector CA", false }, { "", false }, { "O=Vector CA", false },
                { "CN=", false }, { "nothing=Vector CA", false }, { "CN=Vector CA\\", false } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                if (cert_issuer_is((const uint8_t *)der->data, der->len, row[i].text) != row[i].same)
                        fail_msg("\"%s\"", row[i].text);
        assert_false(cert_issuer_is((const uint8_t *)der->data, der->len, NULL));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_key_is_known_by_both_forms_of_its_point, setup, teardown),
                cmocka_unit_test_setup_teardown(an_issuer_is_compared_as_a_name, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
