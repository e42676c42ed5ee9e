#include "test.h"

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/proofs.h"
#include "cert_text.h"

#define CERT(flags, dv) "{'CertificateId':'N','PackageType':'83','IsVip':false," flags ",'DvAuthDetail':" dv "}"
#define WWW "'Domain':'www.example.com','VerifyType':'DNS'"
#define ENTRIES(list) "{'DvAuths':[" list "]}"

/* As one line: "TXT owner=value (name)" or "FILE host/path=value (name)", joined by " | ". */
static char *line_of(const struct proof *p, size_t count)
{
        struct buf b = { 0 };

        for (size_t i = 0; i < count; i++)
                buf_addf(&b, "%s%s %s%s=%s (%s)", i ? " | " : "",
                        p[i].type == PROOF_TXT             ? "TXT"
                                : p[i].type == PROOF_CNAME ? "CNAME"
                                                           : "FILE",
                        p[i].place, p[i].path ? p[i].path : "", p[i].value, p[i].name);
        return buf_steal(&b);
}

static void what_is_given_is_what_is_published(void **state)
{
        (void)state;
        static const struct {
                const char *what, *cert, *want; /* want NULL: refused */
        } row[] = {
                { "nothing", CERT(WWW, "null"), "" },
                { "nothing but an empty sub-domain",
                        CERT(WWW, "{'DvAuthKey':null,'DvAuthValue':null,'DvAuthKeySubDomain':'','DvAuths':[]}"), "" },
                { "TXT, whole owner",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'_dnsauth.www.example.com','DvAuthValue':'20231115abc','"
                                        "DvAuthDomain':'www.example.com','DvAuthSubDomain':'_dnsauth.www','DvAuthPath':"
                                        "'','DvAuthVerifyType':'TXT'}")),
                        "TXT _dnsauth.www.example.com=20231115abc (www.example.com)" },
                { "TXT, relative owner below the registrable domain",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'_dnsauth.www','DvAuthValue':'v','DvAuthDomain':'www.example.com'"
                                        ",'DvAuthVerifyType':'TXT'}")),
                        "TXT _dnsauth.www.example.com=v (www.example.com)" },
                { "no key, sub-domain only",
                        CERT(WWW,
                                ENTRIES("{'DvAuthSubDomain':'_dnsauth','DvAuthValue':'v','DvAuthDomain':'example.com','"
                                        "DvAuthVerifyType':'TXT'}")),
                        "TXT _dnsauth.example.com=v (example.com)" },
                { "a name of the CA's own making, upper case and final dots",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'_875BED25.Example.COM.','DvAuthValue':'A310.CC73.cmcd.trust-"
                                        "provider.com.','DvAuthDomain':'example.com','DvAuthVerifyType':'CNAME'}")),
                        "CNAME _875bed25.example.com=a310.cc73.cmcd.trust-provider.com (example.com)" },
                { "two names, two entries",
                        CERT("'Domain':'example.com','SubjectAltName':['shop.example.net']",
                                ENTRIES("{'DvAuthKey':'_dnsauth.example.com','DvAuthValue':'a','DvAuthDomain':'example."
                                        "com','DvAuthVerifyType':'TXT'},"
                                        "{'DvAuthKey':'_dnsauth.shop.example.net','DvAuthValue':'b','DvAuthDomain':'"
                                        "shop.example.net','DvAuthVerifyType':'TXT'}")),
                        "TXT _dnsauth.example.com=a (example.com) | TXT _dnsauth.shop.example.net=b "
                        "(shop.example.net)" },
                { "a double entry counts once",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'_a.example.com','DvAuthValue':'v','DvAuthVerifyType':'TXT'},{'"
                                        "DvAuthKey':'_a.example.com','DvAuthValue':'v','DvAuthVerifyType':'TXT'}")),
                        "TXT _a.example.com=v (www.example.com)" },
                { "masked domain: the certificate's own name is used",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'_dnsauth','DvAuthValue':'v','DvAuthDomain':'ex****le.com','"
                                        "DvAuthVerifyType':'TXT'}")),
                        "TXT _dnsauth.example.com=v (www.example.com)" },
                { "wildcard name",
                        CERT("'Domain':'*.example.com'",
                                ENTRIES("{'DvAuthKey':'_dnsauth.example.com','DvAuthValue':'v','DvAuthDomain':'*."
                                        "example.com','DvAuthVerifyType':'TXT'}")),
                        "TXT _dnsauth.example.com=v (example.com)" },
                { "the type of an entry wins over VerifyType",
                        CERT("'Domain':'a.example.com','VerifyType':'FILE'",
                                ENTRIES("{'DvAuthKey':'_dnsauth.a.example.com','DvAuthValue':'v','DvAuthVerifyType':'"
                                        "TXT'}")),
                        "TXT _dnsauth.a.example.com=v (a.example.com)" },
                { "entries win over the fields above them",
                        CERT(WWW,
                                "{'DvAuthKey':'_old','DvAuthValue':'old','DvAuths':[{'DvAuthKey':'_new.example.com','"
                                "DvAuthValue':'new','DvAuthVerifyType':'TXT'}]}"),
                        "TXT _new.example.com=new (www.example.com)" },
                { "no entries: TXT from the fields above",
                        CERT(WWW,
                                "{'DvAuthKey':'_dnsauth.www.example.com','DvAuthValue':'20231115x','DvAuthDomain':'ww**"
                                "**e.com','DvAuths':null}"),
                        "TXT _dnsauth.www.example.com=20231115x (www.example.com)" },
                { "no entries: CNAME by the look of the value",
                        CERT(WWW, "{'DvAuthKey':'_x.www.example.com','DvAuthValue':'a.b.trust-provider.com'}"),
                        "CNAME _x.www.example.com=a.b.trust-provider.com (www.example.com)" },
                { "no entries: FILE by VerifyType",
                        CERT("'Domain':'a.b.example.com','VerifyType':'FILE_PROXY'",
                                "{'DvAuthKey':'fileauth.txt','DvAuthPath':'/.well-known/pki-validation/"
                                "','DvAuthValue':'v'}"),
                        "FILE a.b.example.com/.well-known/pki-validation/fileauth.txt=v (a.b.example.com)" },
                { "FILE, primary domain: www too",
                        CERT("'Domain':'example.com'",
                                ENTRIES("{'DvAuthKey':'fileauth.txt','DvAuthPath':'/.well-known/"
                                        "pki-validation','DvAuthValue':'v','DvAuthDomain':'example.com','"
                                        "DvAuthVerifyType':'FILE'}")),
                        "FILE example.com/.well-known/pki-validation/fileauth.txt=v (example.com) | FILE "
                        "www.example.com/.well-known/pki-validation/fileauth.txt=v (www.example.com)" },
                { "FILE, primary domain under a two-label suffix",
                        CERT("'Domain':'example.co.uk'",
                                ENTRIES("{'DvAuthKey':'f.txt','DvAuthPath':'/.well-known/"
                                        "pki-validation','DvAuthValue':'v','DvAuthDomain':'example.co.uk','"
                                        "DvAuthVerifyType':'FILE'}")),
                        "FILE example.co.uk/.well-known/pki-validation/f.txt=v (example.co.uk) | FILE "
                        "www.example.co.uk/.well-known/pki-validation/f.txt=v (www.example.co.uk)" },
                { "FILE, www: the bare name too, path already whole",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'F.txt','DvAuthPath':'/.well-known/pki-validation/"
                                        "F.txt','DvAuthValue':'a\\nb "
                                        "trust-provider.com\\n','DvAuthDomain':'www.example.com','DvAuthVerifyType':'"
                                        "FILE'}")),
                        "FILE www.example.com/.well-known/pki-validation/F.txt=a\nb trust-provider.com\n "
                        "(www.example.com) | FILE example.com/.well-known/pki-validation/F.txt=a\nb "
                        "trust-provider.com\n (example.com)" },
                { "FILE, another host: itself alone",
                        CERT("'Domain':'shop.example.com'",
                                ENTRIES("{'DvAuthKey':'/f.txt','DvAuthPath':'/.well-known/pki-validation//"
                                        "','DvAuthValue':'v','DvAuthDomain':'shop.example.com','DvAuthVerifyType':'"
                                        "FILE'}")),
                        "FILE shop.example.com/.well-known/pki-validation/f.txt=v (shop.example.com)" },
                { "FILE for a wildcard",
                        CERT("'Domain':'*.example.com'",
                                ENTRIES("{'DvAuthKey':'f.txt','DvAuthPath':'/.well-known/pki-validation/"
                                        "','DvAuthValue':'v','DvAuthDomain':'*.example.com','DvAuthVerifyType':'FILE'"
                                        "}")),
                        NULL },
                { "hostile: up and out",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'../../etc/passwd','DvAuthPath':'/.well-known/pki-validation/"
                                        "','DvAuthValue':'v','DvAuthVerifyType':'FILE'}")),
                        NULL },
                { "hostile: another folder",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'index.html','DvAuthPath':'/"
                                        "','DvAuthValue':'v','DvAuthVerifyType':'FILE'}")),
                        NULL },
                { "hostile: escape in the value",
                        CERT(WWW, ENTRIES("{'DvAuthKey':'_a','DvAuthValue':'\\u001b[2J','DvAuthVerifyType':'TXT'}")),
                        NULL },
                { "hostile: blank in the owner",
                        CERT(WWW, ENTRIES("{'DvAuthKey':'_a b','DvAuthValue':'v','DvAuthVerifyType':'TXT'}")), NULL },
                { "hostile: a host with a slash",
                        CERT(WWW,
                                ENTRIES("{'DvAuthKey':'f.txt','DvAuthPath':'/.well-known/pki-validation/"
                                        "','DvAuthDomain':'evil/x','DvAuthValue':'v','DvAuthVerifyType':'FILE'}")),
                        NULL },
                { "an unknown type",
                        CERT(WWW, ENTRIES("{'DvAuthKey':'_a','DvAuthValue':'v','DvAuthVerifyType':'EMAIL'}")), NULL },
                { "no value", CERT(WWW, ENTRIES("{'DvAuthKey':'_a','DvAuthVerifyType':'TXT'}")), NULL },
                { "no place", CERT(WWW, ENTRIES("{'DvAuthValue':'v','DvAuthVerifyType':'TXT'}")), NULL },
                { "no domain at all and a relative key",
                        "{'CertificateId':'N','DvAuthDetail':{'DvAuths':[{'DvAuthKey':'_a','DvAuthValue':'v','"
                        "DvAuthVerifyType':'TXT'}]}}",
                        NULL },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tc_cert c = cert_of(row[i].cert);
                struct proof *list = NULL;
                size_t count = 0;
                struct err e;
                bool ok = tc_proofs(&c, &list, &count, &e);
                char *line = line_of(list, count);
                if (ok != (row[i].want != NULL))
                        fail_msg("%s: %s", row[i].what, ok ? line : e.text);
                if (ok && strcmp(line, row[i].want) != 0)
                        fail_msg("%s: got %s", row[i].what, line);
                if (!ok)
                        assert_int_equal(e.kind, ERR_PROTOCOL);
                free(line);
                tc_proofs_free(list, count);
                tc_cert_done(&c);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_given_is_what_is_published) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
