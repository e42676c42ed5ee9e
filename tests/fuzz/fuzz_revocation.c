/* What a CA says of a certificate: a revocation list, or an OCSP answer; and where a certificate says to ask. */
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/pki/revocation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* specs/alerts.md section 4a; signed by its own key, so that it is its own issuer where the names agree. */
static const char leaf[] = "MIIBaDCCAQ2gAwIBAgIFAIdlQyEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJVmVjdG9yIENBMB4XDTI2MDEwMTAwMDA"
                           "wMFoXDTI2MDQwMTAwMDAwMF"
                           "owFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARg/"
                           "tS6JVqdMclh63TGNW1owEm4kjth+mzmaWIuYPKftnkD/"
                           "hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZo0owSDAlBgNVHREEHjAcggtleGFtcGxlLmNvbYINKi5leGFtcGxl"
                           "LmNvbTAfBgNVHSMEGDAWgBRp"
                           "iFtrh0ZAQeGze4R7oK4s3gHI1DAKBggqhkjOPQQDAgNJADBGAiEAonHVJXRzIrxJB3RgNgv4p2vn4C5UAWoBAgKETyC"
                           "4+X4CIQDjwGKNVTjprfjATZD"
                           "+CbkhfknczTHzaDIfDkpy6yDjuw==";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t *der;
        static size_t len;
        struct revocation_places places;
        struct revocation_answer a;
        struct err e;
        if (size > 65536 || (!der && !base64_decode(leaf, strlen(leaf), &der, &len)))
                return 0;
        const struct revocation_subject s = { der, der, len, len };
        (void)crl_check(data, size, "http://crl.example.test/7.crl", &s, 1770000000, &a, &e);
        (void)ocsp_check(data, size, &s, 1770000000, &a, &e);
        if (revocation_places(data, size, &places, &e))
                revocation_places_done(&places);
        return 0;
}
