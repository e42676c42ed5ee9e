/* Wrong configurations and exactly what is said about them. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "kinds.h"

/* Comes before the texts that begin a certificate: its eight lines count. */
static const char prelude[] = "cas:\n"
                              "  le: {type: acme, directory: \"https://acme.example/d\"}\n"
                              "  tc: {type: tencent, secret_id: {env: A}, secret_key: {env: B}}\n"
                              "publishers:\n"
                              "  zone: {type: rfc2136, server: \"192.0.2.1:53\"}\n"
                              "  site: {type: webroot, directory: /var/www}\n"
                              "  hand: {type: manual}\n"
                              "certificates:\n";

static const struct row {
        bool certificates; /* prelude first */
        const char *text;
        const char *want; /* all problems, a line each */
} rows[] = {
        { false,
                "a: &x 1\n"
                "b: *x\n",
                "c:1:4: a: has an anchor; anchors and aliases are not allowed\n"
                "c:2:4: b: is an alias; aliases are not allowed\n" },
        { false, "log: !!str info\n",
                "c:1:6: log: has a tag; tags are not allowed\n"
                "c:1:6: log: is a text; a map is wanted\n" },
        { false,
                "log: {level: info}\n"
                "log: {format: text}\n",
                "c:2:1: log: is given twice; it is also in line 1\n" },
        { false,
                "runtime_directory: "
                "/run/rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\n",
                "c:1:20: runtime_directory: is too long for the control socket in it; at most 97 bytes\n" },
        { false,
                "runtime_directory: "
                "/run/rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr/"
                "\nkeep: {sets: 0}\n",
                "c:2:14: keep.sets: is too small; a whole number from 1 to 1000\n" },
        { false, "keep: {sets: 1, sets: 2}\n", "c:1:17: keep.sets: is given twice; it is also in line 1\n" },
        { false,
                "---\n"
                "log: {}\n"
                "---\n"
                "log: {}\n",
                "c:3:1: a second document begins; one is allowed\n" },
        { false,
                "log:\n"
                "\tlevel: info\n",
                "c:2:1: log: is not YAML: found character that cannot start any token while scanning for the next "
                "token in line 2; indent with blanks, quote texts with special characters\n" },
        { false, "log: {level: info\n",
                "c:2:1: log: is not YAML: did not find expected ',' or '}' while parsing a flow mapping in line 1; "
                "indent with blanks, quote texts with special characters\n" },
        { false,
                "? [a, b]\n"
                ": c\n",
                "c:1:3: a key must be a text; lists and maps are not allowed as keys\n" },
        { false, "control: {read: [null, a]}\n", "c:1:18: control.read[0]: has no value; a list of 0 to 16 texts\n" },
        { true,
                "  www:\n"
                "    names: [www.example.com]\n"
                "    ca: le\n"
                "    publisher: zone\n"
                "    deploy: [{directory: /d, services: [{name: x, reload: [../reload, -q]}, {name: y, reload: [ok, "
                "~]}]}]\n",
                "c:13:59: certificates.www.deploy[0].services[0].reload: begins with a relative path; a list of the "
                "program "
                "and its arguments (no shell is used)\n"
                "c:13:100: certificates.www.deploy[0].services[1].reload[1]: has no value; a list of the program and "
                "its "
                "arguments (no shell is used)\n" },
        { false, "- a\n", "c:1:1: the file is a list; a map of sections is wanted\n" },
        { false, "hello\n", "c:1:1: the file is a text; a map of sections is wanted\n" },
        { false, "log: {level: \"in\\0fo\"}\n",
                "c:1:14: log.level: has a NUL character; it is not allowed\n"
                "c:1:14: log.level: is not known; error, warning, info, debug\n" },
        { false, "lgo: {level: info}\n",
                "c:1:1: lgo: is not a known key (did you mean \"log\"?); include, state_directory, runtime_directory, "
                "log, resolvers, tokens, admin, control, proxy, limits, keep, cas, publishers, certificates, alerts, "
                "notify\n" },
        { false, "log: {levle: info, format: xml}\n",
                "c:1:7: log.levle: is not a known key (did you mean \"level\"?); level, format\n"
                "c:1:28: log.format: is not known; auto, text, json\n" },
        { false, "log: {level: inof}\n",
                "c:1:14: log.level: is not known (did you mean \"info\"?); error, warning, info, debug\n" },
        { false, "log: info\n", "c:1:6: log: is a text; a map is wanted\n" },
        { false, "log:\n", "c:1:5: log: has no value; a map\n" },
        { false, "keep: {sets: 0, keys: 90}\n",
                "c:1:14: keep.sets: is too small; a whole number from 1 to 1000\n"
                "c:1:23: keep.keys: is not a duration; a duration from 0s to 36500d, such as 90s, 10m, 12h or 3d\n" },
        { false, "keep: {sets: many, keys: 90000000d}\n",
                "c:1:14: keep.sets: is not a whole number; a whole number from 1 to 1000\n"
                "c:1:26: keep.keys: is too long; a duration from 0s to 36500d, such as 90s, 10m, 12h or 3d\n" },
        { false, "limits: {jobs: 5000, cooldown: -1h, automatic_per_hour: -3}\n",
                "c:1:16: limits.jobs: is too large; a whole number from 1 to 1000\n"
                "c:1:32: limits.cooldown: is not a duration; a duration from 0s to 365d, such as 90s, 10m, 12h or 3d\n"
                "c:1:57: limits.automatic_per_hour: is too small; a whole number from 0 to 100000\n" },
        { false, "limits: {jobs: [1]}\n", "c:1:16: limits.jobs: is a list; a whole number from 1 to 1000\n" },
        { false,
                "state_directory: var/lib\n"
                "runtime_directory: /run/../etc\n",
                "c:1:18: state_directory: is not an absolute path; an absolute path such as /etc/dcvd/file\n"
                "c:2:20: runtime_directory: has a . or .. component; an absolute path such as /etc/dcvd/file\n" },
        { false, "resolvers: [192.0.2.53, ns1.example.com, {a: b}]\n",
                "c:1:42: resolvers[2]: is a map; a list of 0 to 16 texts\n"
                "c:1:25: resolvers[1]: is not a numeric address; \"192.0.2.53\" or \"[2001:db8::53]:53\"\n" },
        { false, "tokens: {listen: [\"0.0.0.0\", \"localhost:80\", \"unix:tmp/x\", systemd]}\n",
                "c:1:19: tokens.listen[0]: has no port; \"127.0.0.1:8402\", \"unix:/path\" or systemd\n"
                "c:1:30: tokens.listen[1]: is not a numeric address with a port; \"127.0.0.1:8402\", \"unix:/path\" or "
                "systemd\n"
                "c:1:46: tokens.listen[2]: is not an absolute path; \"127.0.0.1:8402\", \"unix:/path\" or systemd\n" },
        { false, "tokens: {tls_listen: [\"0.0.0.0\", \"unix:/run/x\", \"[::]:443\", systemd]}\n",
                "c:1:23: tokens.tls_listen[0]: has no port; \"0.0.0.0:443\" or systemd\n"
                "c:1:34: tokens.tls_listen[1]: is not where a CA could connect to; \"0.0.0.0:443\" or systemd\n" },
        { false, "tokens: {listen: [systemd, \"0.0.0.0:443\"], tls_listen: [systemd, \"0.0.0.0:443\"]}\n",
                "c:1:66: tokens.tls_listen: is also in tokens.listen; each listener needs an address of its own\n" },
        { false, "admin: {listen: \"192.0.2.1:9853\"}\n",
                "c:1:17: admin.listen: other machines could reach it; a loopback address or a unix socket, or say "
                "public: true\n" },
        { false, "admin: {listen: [\"127.0.0.1:1\", \"0.0.0.0:2\"], public: yes}\n",
                "c:1:55: admin.public: is neither true nor false (yes, no, on and off are texts here); true or false\n"
                "c:1:33: admin.listen: other machines could reach it; a loopback address or a unix socket, or say "
                "public: true\n" },
        { false,
                "tokens: {listen: \"127.0.0.1:1\"}\n"
                "admin: {listen: \"127.0.0.1:1\"}\n",
                "c:2:17: admin.listen: is also in tokens.listen; each listener needs an address of its own\n" },
        { false,
                "tokens: {listen: [/run/a, /run/../b]}\n"
                "admin: {listen: \"unix:/run/a\"}\n",
                "c:1:27: tokens.listen[1]: has a . or .. component; \"127.0.0.1:8402\", \"unix:/path\" or systemd\n"
                "c:2:17: admin.listen: is also in tokens.listen; each listener needs an address of its own\n" },
        { false, "control: {read: [\"-x\"], act: \"a b\"}\n",
                "c:1:18: control.read[0]: begins with a hyphen or a dot; the name of a group\n"
                "c:1:30: control.act: has a character that no user or group name has; the name of a group\n" },
        { false, "proxy: {except: [\"10.0.0.0/33\", \"*.corp\"]}\n",
                "c:1:18: proxy.except[0]: is not a network; \"10.0.0.0/8\", \".corp.example\" or a host name\n"
                "c:1:33: proxy.except[1]: has a * elsewhere than as the leftmost label; \"10.0.0.0/8\", "
                "\".corp.example\" or a host name\n"
                "c:1:8: proxy.url: is missing; an http or https URL without user and password\n" },
        { false, "proxy: {url: \"http://user:hunter2@proxy.example\"}\n",
                "c:1:14: proxy.url: holds a user name or a password; an http or https URL without user and "
                "password\n" },
        { false, "proxy: {url: \"socks5://proxy.example\"}\n",
                "c:1:14: proxy.url: is not an http or https URL; an http or https URL without user and password\n" },
        { false, "include: conf.d/*.yaml\n", "c:1:10: include: is not an absolute path; /etc/dcvd/conf.d/*.yaml\n" },
        { false, "cas: {x: {directory: /a}}\n", "c:1:10: cas.x.type: is missing; acme, tencent\n" },
        { false, "cas: {x: {type: acem, directory: \"https://a/\"}}\n",
                "c:1:17: cas.x.type: is not known (did you mean \"acme\"?); acme, tencent\n" },
        { false, "cas: {\"x y\": {type: acme, directory: \"https://a.example/\"}}\n",
                "c:1:14: cas.x y: is not a good name; at most 64 letters, digits, . _ -, no leading dot\n" },
        { false, "cas: {x: acme}\n", "c:1:10: cas.x: is not a map; a map with type is wanted\n" },
        { false, "cas: [x]\n", "c:1:6: cas: is not a map; a map of names is wanted\n" },
        { false, "cas: {x: {type: acme}}\n",
                "c:1:10: cas.x.directory: is missing; an https URL, or http for a loopback address\n" },
        { false,
                "cas: {x: {type: acme, directory: \"http://acme.example/\", staging: \"https://u:p@h/\", terms_agreed: "
                "\"true\", ca_bundle: a.pem}}\n",
                "c:1:34: cas.x.directory: is http to another machine; an https URL, or http for a loopback address\n"
                "c:1:67: cas.x.staging: holds a user name or a password; an https URL, or http for a loopback address\n"
                "c:1:99: cas.x.terms_agreed: is a quoted text; true or false\n"
                "c:1:118: cas.x.ca_bundle: is not an absolute path; an absolute path such as /etc/dcvd/file\n" },
        { false, "cas: {x: {type: acme, directory: \"http://127.0.0.1:14000/dir\", eab: {kid: k}}}\n",
                "c:1:69: cas.x.eab.hmac_key: is missing; {file: PATH}, {credential: NAME} or {env: NAME}\n" },
        { false, "cas: {x: {type: tencent, secret_id: hunter2, secret_key: {hunter2: }}}\n",
                "c:1:37: cas.x.secret_id: must not be written here, only where it is; {file: PATH}, {credential: NAME} "
                "or {env: NAME}\n"
                "c:1:58: cas.x.secret_key: has a key that is none of file, credential and env; {file: PATH}, "
                "{credential: NAME} or {env: NAME}\n" },
        { false,
                "cas: {x: {type: tencent, secret_id: {file: hunter2}, secret_key: {credential: \"hunter2 "
                "hunter2\"}}}\n",
                "c:1:44: cas.x.secret_id: the file is not given as an absolute path; {file: PATH}, {credential: NAME} "
                "or {env: NAME}\n"
                "c:1:79: cas.x.secret_key: the credential's name is not made of letters, digits, . _ - alone; {file: "
                "PATH}, {credential: NAME} or {env: NAME}\n" },
        { false,
                "cas: {x: {type: tencent, secret_id: {env: hunter-2}, secret_key: {file: /a, env: hunter2}, token: "
                "[hunter2]}}\n",
                "c:1:43: cas.x.secret_id: the variable's name is not made of letters, digits and _ alone; {file: "
                "PATH}, {credential: NAME} or {env: NAME}\n"
                "c:1:66: cas.x.secret_key: must have exactly one key; {file: PATH}, {credential: NAME} or {env: NAME}\n"
                "c:1:99: cas.x.token: must not be written here, only where it is; {file: PATH}, {credential: NAME} or "
                "{env: NAME}\n" },
        { false, "cas: {x: {type: tencent, secret_id: {file: }, secret_key: {file: {hunter2: 1}}}}\n",
                "c:1:44: cas.x.secret_id: names nothing; {file: PATH}, {credential: NAME} or {env: NAME}\n"
                "c:1:66: cas.x.secret_key: names nothing; {file: PATH}, {credential: NAME} or {env: NAME}\n" },
        { false, "publishers: {x: {type: exec, command: \"rm -rf /\", protocol: leg}}\n",
                "c:1:39: publishers.x.command: is a text; a list of the program and its arguments (no shell is used)\n"
                "c:1:61: publishers.x.protocol: is not known (did you mean \"lego\"?); lego, certbot\n" },
        { false,
                "publishers: {x: {type: exec, command: [], protocol: lego}, y: {type: exec, command: [\"\"], protocol: "
                "lego, timeout: 1d}}\n",
                "c:1:39: publishers.x.command: is empty; a list of the program and its arguments (no shell is used)\n"
                "c:1:86: publishers.y.command[0]: is empty; a list of the program and its arguments (no shell is "
                "used)\n"
                "c:1:116: publishers.y.timeout: is too long; a duration from 1s to 1h, such as 90s, 10m, 12h or 3d\n" },
        { false, "publishers: {x: {type: rfc2136, server: ns1.example.com, tsig: hunter2, ttl: 1.5}}\n",
                "c:1:41: publishers.x.server: is not a numeric address; a numeric address such as \"192.0.2.1\", "
                "\"192.0.2.1:53\" or \"[2001:db8::1]:53\"\n"
                "c:1:64: publishers.x.tsig: is a text; a map is wanted\n"
                "c:1:78: publishers.x.ttl: is not a whole number; a whole number from 1 to 86400\n" },
        { true, "  www: {names: www.example.com}\n",
                "c:9:8: certificates.www.ca: is missing; the name of a CA, or a list of names and {use, validation, "
                "publisher, key}\n" },
        { true, "  www: {ca: le, publisher: zone}\n",
                "c:9:8: certificates.www.names: is missing; a list of 1 to 1000 texts\n" },
        { false,
                "cas: {le: {type: acme, directory: \"https://acme.example/d\"}}\n"
                "publishers: {site: {type: webroot, directory: /var/www}}\n"
                "certificates:\n"
                "  a: {names: a.example, ca: le}\n"
                "  b: {names: b.example, ca: le, validation: dns}\n",
                "c:4:6: certificates.a.publisher: is missing; site\n"
                "c:5:6: certificates.b.publisher: is missing; none of those that are configured can\n" },
        { true, "  www: [a]\n", "c:9:8: certificates.www: is a list; a map is wanted\n" },
        { true, /* one item that is no text hides nothing else */
                "  www: {names: [{a: b}, bad_name, \"\", \"*.x.example\", a.example, a.example], ca: le, validation: "
                "file}\n"
                "  two: {names: {a: b}, ca: le}\n",
                "c:9:17: certificates.www.names[0]: is a map; a list of 1 to 1000 texts\n"
                "c:9:35: certificates.www.names[2]: is empty; a list of 1 to 1000 texts\n"
                "c:9:25: certificates.www.names[1]: has a character other than letters, digits, hyphens and dots; "
                "names "
                "such as www.example.com, *.example.com, or an address\n"
                "c:9:65: certificates.www.names[5]: a.example is given twice; each name once\n"
                "c:9:8: certificates.www.publisher: is missing; hand, site\n"
                "c:9:39: certificates.www.names[3]: a wildcard cannot be validated by file; dns\n"
                "c:10:16: certificates.two.names: is a map; a list of 1 to 1000 texts\n"
                "c:10:8: certificates.two.publisher: is missing; hand, site, zone\n" },
        { true, "  www: {names: [x.example, null, \"www.shop.example\"], ca: le, publisher: {example.org: zone}}\n",
                "c:9:28: certificates.www.names[1]: has no value; a list of 1 to 1000 texts\n"
                "c:9:74: certificates.www.publisher: names no publisher for x.example; add a suffix of it, or default\n"
                "c:9:74: certificates.www.publisher: names no publisher for www.shop.example; add a suffix of it, or "
                "default\n" },
        { true, "  .www: {names: a.example, ca: le, publisher: zone}\n",
                "c:9:9: certificates..www: is not a good name; at most 64 letters, digits, . _ -, no leading dot\n" },
        { true, "  www: {names: [www.example.com], ca: letsencrypt, publisher: zone, }\n",
                "c:9:39: certificates.www.ca: there is no CA \"letsencrypt\"; le, tc\n" },
        { true, "  www: {names: [www.example.com], ca: tx, publisher: zone, }\n",
                "c:9:39: certificates.www.ca: there is no CA \"tx\" (did you mean \"tc\"?); le, tc\n" },
        { true, "  www: {names: [www.example.com], ca: [le, lee], publisher: zone, }\n",
                "c:9:44: certificates.www.ca[1]: there is no CA \"lee\" (did you mean \"le\"?); le, tc\n" },
        { true, "  www: {names: [www.example.com], ca: [le, {use: nope}], publisher: zone, }\n",
                "c:9:50: certificates.www.ca[1]: there is no CA \"nope\"; le, tc\n" },
        { true, "  www: {names: [www.example.com], ca: [], publisher: zone, }\n",
                "c:9:39: certificates.www.ca: has no entries; 1 to 16 CAs\n" },
        { true, "  www: {names: [www.example.com], ca: [le, le], publisher: zone, }\n",
                "c:9:44: certificates.www.ca[1]: CA \"le\" is given twice; once, or with another validation, publisher "
                "or key\n" },
        { true, "  www: {names: [www.example.com], ca: [le, {usee: le}], publisher: zone, }\n",
                "c:9:45: certificates.www.ca[1].usee: is not a known key (did you mean \"use\"?); use, validation, "
                "publisher, key\n"
                "c:9:44: certificates.www.ca[1].use: is missing; the name of a CA\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zoen, }\n",
                "c:9:54: certificates.www.publisher: there is no publisher \"zoen\" (did you mean \"zone\"?); hand, "
                "site, zone\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: {default: zoen, shop.example.com: sight}, }\n",
                "c:9:64: certificates.www.publisher.default: there is no publisher \"zoen\" (did you mean \"zone\"?); "
                "hand, site, zone\n"
                "c:9:88: certificates.www.publisher.shop.example.com: there is no publisher \"sight\"; hand, site, "
                "zone\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: {example.org: zone}, }\n",
                "c:9:54: certificates.www.publisher: names no publisher for www.example.com; add a suffix of it, or "
                "default\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: {\"*.example.org\": zone, default: zone}, }\n",
                "c:9:55: certificates.www.publisher.*.example.org: has a * elsewhere than as the leftmost label; "
                "default, or a name such as shop.example.com\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: {}, }\n",
                "c:9:54: certificates.www.publisher: has no entries; default and suffixes of names\n" },
        { true, "  www: {names: [www.example.com], ca: le, }\n",
                "c:9:8: certificates.www.publisher: is missing; hand, site, zone\n" },
        { true, "  www: {names: [www.example.com], ca: le, validation: dns-auto}\n",
                "c:9:55: certificates.www.validation: CA \"le\" (acme) does not validate by dns-auto; dns, file, "
                "tls-alpn\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zone, validation: http}\n",
                "c:9:72: certificates.www.validation: is not known; dns, file, tls-alpn, dns-auto\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: site, validation: dns}\n",
                "c:9:54: certificates.www.publisher: publisher \"site\" (webroot) cannot publish TXT records, which "
                "validation dns needs for www.example.com; hand, zone\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zone, validation: file}\n",
                "c:9:54: certificates.www.publisher: publisher \"zone\" (rfc2136) cannot publish files, which "
                "validation file needs for www.example.com; hand, site\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zone, validation: tls-alpn}\n",
                "c:9:54: certificates.www.publisher: publisher \"zone\" (rfc2136) cannot answer TLS handshakes, which "
                "validation tls-alpn needs for www.example.com; none of those that are configured can\n" },
        { true, "  www: {names: [\"*.example.com\"], ca: le, validation: tls-alpn}\n",
                "c:9:17: certificates.www.names[0]: a wildcard cannot be validated by tls-alpn; dns\n" },
        { true, "  www: {names: [w.example], ca: [tc, le], validation: dns-auto, certificate_id: x}\n",
                "c:9:55: certificates.www.validation: CA \"le\" (acme) does not validate by dns-auto; dns, file, "
                "tls-alpn\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: hand, }\n",
                "c:9:54: certificates.www.validation: is missing, and the publisher does not decide it; dns or file "
                "must be said\n" },
        { true,
                "  www: {names: [www.example.com, shop.example.com], ca: le, publisher: {default: zone, "
                "shop.example.com: site}, }\n",
                "c:9:72: certificates.www.validation: is missing, and the publisher does not decide it; dns or file "
                "must be said\n" },
        { true, "  www: {names: [www.example.com, \"*.example.com\"], ca: le, publisher: site, validation: file}\n",
                "c:9:34: certificates.www.names[1]: a wildcard cannot be validated by file; dns\n" },
        { true, "  www: {names: [\"192.0.2.1\"], ca: le, publisher: zone, }\n",
                "c:9:17: certificates.www.names[0]: an address cannot be validated by dns; file or tls-alpn\n" },
        { true, "  www: {names: [www.example.com], ca: tc, publisher: zone, }\n",
                "c:9:8: certificates.www.certificate_id: is missing; CA \"tc\" (tencent) replaces a certificate that "
                "exists: the id it has there\n" },
        { true,
                "  www: {names: [www.example.com], ca: [le, tc], publisher: zone, certificate_id: x, key: {type: "
                "rsa-3072}}\n",
                "c:9:97: certificates.www.key.type: CA \"tc\" (tencent) issues no certificate for a key of type "
                "rsa-3072; rsa-2048, rsa-4096, ec-p256, ec-p384, sm2\n" },
        { true,
                "  www: {names: [www.example.com], ca: tc, publisher: zone, certificate_id: \"a b\", key: {type: "
                "rsa}}\n",
                "c:9:76: certificates.www.certificate_id: has a character that no id has; letters, digits, - _\n"
                "c:9:95: certificates.www.key.type: is not known; rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, "
                "sm2\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zone, key: {type: sm2}}\n",
                "c:9:72: certificates.www.key.type: CA \"le\" (acme) issues no certificate for a key of type sm2; "
                "rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384\n" },
        { true, "  www: {names: [www.example.com], ca: [le, {use: le, validation: file}], publisher: zone, }\n",
                "c:9:85: certificates.www.publisher: publisher \"zone\" (rfc2136) cannot publish files, which "
                "validation file needs for www.example.com; hand, site\n" },
        { true,
                "  www: {names: [www.example.com], ca: [le, {use: le, validation: tls-alpn, key: {type: sm2}}], "
                "publisher: zone, }\n",
                "c:9:88: certificates.www.ca[1].key.type: CA \"le\" (acme) issues no certificate for a key of type "
                "sm2; rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384\n" },
        { true,
                "  www: {names: [www.example.com], ca: [le, {use: tc, validation: tls-alpn}], publisher: zone, "
                "certificate_id: x}\n",
                "c:9:66: certificates.www.ca[1].validation: CA \"tc\" (tencent) does not validate by tls-alpn; dns, "
                "file, dns-auto\n" },
        { true, "  www: {names: [], ca: le, publisher: zone, }\n",
                "c:9:16: certificates.www.names: has too few items; a list of 1 to 1000 texts\n" },
        { true, "  www: {names: [www.example.com, WWW.example.com], ca: le, publisher: zone, }\n",
                "c:9:34: certificates.www.names[1]: www.example.com is given twice; each name once\n" },
        { true,
                "  www: {names: [a_b.example, \"www.*.example\", \"*\", \"-a.example\", \"a..example\", "
                "\"a.example.\", 1.2.3, \"münchen.example\", \"*.192.0.2.1\"], ca: le, publisher: zone, }\n",
                "c:9:17: certificates.www.names[0]: has a character other than letters, digits, hyphens and dots; "
                "names such as www.example.com, *.example.com, or an address\n"
                "c:9:30: certificates.www.names[1]: has a * elsewhere than as the leftmost label; names such as "
                "www.example.com, *.example.com, or an address\n"
                "c:9:47: certificates.www.names[2]: has a * elsewhere than as the leftmost label; names such as "
                "www.example.com, *.example.com, or an address\n"
                "c:9:52: certificates.www.names[3]: has a label that begins or ends with a hyphen; names such as "
                "www.example.com, *.example.com, or an address\n"
                "c:9:66: certificates.www.names[4]: has an empty label; names such as www.example.com, *.example.com, "
                "or an address\n"
                "c:9:80: certificates.www.names[5]: ends with a dot; names such as www.example.com, *.example.com, or "
                "an address\n"
                "c:9:94: certificates.www.names[6]: is neither a name nor an address; names such as www.example.com, "
                "*.example.com, or an address\n"
                "c:9:101: certificates.www.names[7]: is not ASCII: write international names as xn--...; names such as "
                "www.example.com, *.example.com, or an address\n"
                "c:9:120: certificates.www.names[8]: is a wildcard of no name; names such as www.example.com, "
                "*.example.com, or an address\n" },
        { true, "  www: {names: [\"::ffff:192.0.2.1\", \"2001:db8::1\"], ca: le, publisher: site}\n",
                "c:9:17: certificates.www.names[0]: is an IPv4 address written as IPv6; names such as www.example.com, "
                "*.example.com, or an address\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, renew: on, rehearse: sometimes, elsewhere: "
                "[cdn.example.com], on_compromise: {reissue: never, revoke: no, deadline: 1m}}\n",
                "c:9:67: certificates.www.renew: is not known; auto, off\n"
                "c:9:81: certificates.www.rehearse: is not known; auto, always, never\n"
                "c:9:104: certificates.www.elsewhere[0]: is not host and port; \"cdn.example.com:443\"\n"
                "c:9:147: certificates.www.on_compromise.reissue: is not known; auto, confirm\n"
                "c:9:162: certificates.www.on_compromise.revoke: is not known; auto, confirm, never\n"
                "c:9:176: certificates.www.on_compromise.deadline: is too short; a duration from 10m to 30d, such as "
                "90s, 10m, 12h or 3d\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, propagation: {timeout: 0s, consecutive: 0, "
                "view: auth, ignore: [\"a b\"], quorum: most}, fallback: {after: 6, downgrade: no}}\n",
                "c:9:83: certificates.www.propagation.timeout: is too short; a duration from 1s to 7d, such as 90s, "
                "10m, 12h or 3d\n"
                "c:9:100: certificates.www.propagation.consecutive: is too small; a whole number from 1 to 100\n"
                "c:9:109: certificates.www.propagation.view: is not known; authoritative, resolvers, publisher\n"
                "c:9:124: certificates.www.propagation.ignore[0]: has a character other than letters, digits, hyphens "
                "and dots; addresses or names of name servers\n"
                "c:9:140: certificates.www.propagation.quorum: is not a quorum; all, majority or a number of "
                "addresses\n"
                "c:9:165: certificates.www.fallback.after: is not a duration; a duration from 5s to 90d, such as 90s, "
                "10m, 12h or 3d\n"
                "c:9:179: certificates.www.fallback.downgrade: is neither true nor false (yes, no, on and off are "
                "texts here); true or false\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, key: {reuse: always, csr: a.csr, "
                "passphrase: hunter2}}\n",
                "c:9:73: certificates.www.key.reuse: is not known; never, when-not-compromised\n"
                "c:9:86: certificates.www.key.csr: is not an absolute path; an absolute path such as /etc/dcvd/file\n"
                "c:9:105: certificates.www.key.passphrase: must not be written here, only where it is; {file: PATH}, "
                "{credential: NAME} or {env: NAME}\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, key: {csr: /a.csr, reuse: "
                "when-not-compromised}}\n",
                "c:9:86: certificates.www.key.reuse: means nothing with csr, whose key is held elsewhere; one of the "
                "two\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, key: {csr: /a.csr, type: ec-p256, "
                "passphrase: {file: /p}}, deploy: [{directory: /d, files: {k.pem: key, c.pem: cert}}]}\n",
                "c:9:85: certificates.www.key.type: means nothing with csr, whose key is held elsewhere; one of the "
                "two\n"
                "c:9:106: certificates.www.key.passphrase: means nothing with csr, whose key is held elsewhere; one of "
                "the two\n"
                "c:9:159: certificates.www.deploy[0].files.k.pem: needs the private key, which key.csr holds "
                "elsewhere; cert, chain, fullchain, der\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, key: {csr: /a.csr}, deploy: [{directory: "
                "/d, links: {/l: privkey.pem}}]}\n",
                "c:9:117: certificates.www.deploy[0].links./l: \"privkey.pem\" is not in files; a name from there\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{}]}\n",
                "c:9:69: certificates.www.deploy[0].directory: is missing; an absolute path such as /etc/dcvd/file\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: d, owner: \"a b\", "
                "mode: \"0644\", files: {a/b: key, c.pem: pem}, links: {x: c.pem}}]}\n",
                "c:9:81: certificates.www.deploy[0].directory: is not an absolute path; an absolute path such as "
                "/etc/dcvd/file\n"
                "c:9:91: certificates.www.deploy[0].owner: has a character that no user or group name has; a name or a "
                "number\n"
                "c:9:104: certificates.www.deploy[0].mode: would let everybody read or write a private key; \"0600\", "
                "\"0640\", \"0400\" or \"0440\"\n"
                "c:9:125: certificates.www.deploy[0].files.a/b: is not a good file name; at most 64 letters, digits, . "
                "_ -, no leading dot\n"
                "c:9:137: certificates.www.deploy[0].files.c.pem: is not known; cert, chain, fullchain, key, combined, "
                "der, pkcs12\n"
                "c:9:151: certificates.www.deploy[0].links.x: is not an absolute path; absolute paths of the links, "
                "each with the name of a file\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d, mode: 640}, "
                "{directory: /e, mode: \"0666\"}, {directory: /f, mode: \"0700\"}]}\n",
                "c:9:91: certificates.www.deploy[0].mode: is not an octal mode of four digits; \"0600\", \"0640\", "
                "\"0400\" or \"0440\"\n"
                "c:9:119: certificates.www.deploy[1].mode: would let everybody read or write a private key; \"0600\", "
                "\"0640\", \"0400\" or \"0440\"\n"
                "c:9:150: certificates.www.deploy[2].mode: is not a mode for a private key; \"0600\", \"0640\", "
                "\"0400\" or \"0440\"\n" },
        { true, "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d, files: {}}]}\n",
                "c:9:92: certificates.www.deploy[0].files: is not a map of 1 to 64 files; {fullchain.pem: fullchain, "
                "privkey.pem: key}\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d, links: {/l: "
                "nothing.pem, /m/../n: key.pem, /d/.dcvd/x: cert.pem}}]}\n",
                "c:9:110: certificates.www.deploy[0].links./m/../n: has a . or .. component; absolute paths of the "
                "links, each with the name of a file\n"
                "c:9:128: certificates.www.deploy[0].links./d/.dcvd/x: is inside a directory of dcvd's own; absolute "
                "paths of the links, each with the name of a file\n"
                "c:9:97: certificates.www.deploy[0].links./l: \"nothing.pem\" is not in files; a name from there\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d}, {directory: /d/, "
                "links: {/d/cert.pem: cert.pem}}]}\n",
                "c:9:98: certificates.www.deploy: /d is the directory of certificate \"www\" (c:9); a place of its "
                "own\n"
                "c:9:124: certificates.www.deploy: /d/cert.pem is a file of certificate \"www\" (c:9); a place of its "
                "own\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d, services: [{}, "
                "{preset: ngnix}, {name: a, reload: \"systemctl reload a\"}, {name: a, reload: [x], signal: {name: "
                "HUP, pidfile: /p}}, {name: b}, {name: b}]}]}\n",
                "c:9:96: certificates.www.deploy[0].services[0]: has neither name nor preset; one of them names the "
                "service\n"
                "c:9:109: certificates.www.deploy[0].services[1].preset: is not known (did you mean \"nginx\"?); "
                "nginx, apache, haproxy, postfix, dovecot\n"
                "c:9:135: certificates.www.deploy[0].services[2].reload: is a text; a list of the program and its "
                "arguments (no shell is used)\n"
                "c:9:158: certificates.www.deploy[0].services[3]: has both reload and signal; one of them\n"
                "c:9:158: certificates.www.deploy[0].services[3]: has the name of another service of this target; give "
                "it a name of its own\n"
                "c:9:227: certificates.www.deploy[0].services[5]: has the name of another service of this target; give "
                "it a name of its own\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d, services: [{name: "
                "a, signal: {name: KILL, pidfile: p}}, {name: c, verify: [x, \"127.0.0.1:443/http\", {adress: "
                "\"a:1\"}, {address: \"a:1\", sni: \"1.2.3.4\", protocol: smpt}]}]}]}\n",
                "c:9:121: certificates.www.deploy[0].services[0].signal.name: is not a signal to reload by; HUP, USR1, "
                "USR2, WINCH\n"
                "c:9:136: certificates.www.deploy[0].services[0].signal.pidfile: is not an absolute path; an absolute "
                "path such as /etc/dcvd/file\n"
                "c:9:160: certificates.www.deploy[0].services[1].verify[0]: is not host and port; \"host:port\", "
                "\"host:port/smtp\" (imap, pop3, ldap, ftp, postgres) or {address, sni, protocol}\n"
                "c:9:163: certificates.www.deploy[0].services[1].verify[1]: is not a known protocol; smtp, imap, pop3, "
                "ldap, ftp, postgres\n"
                "c:9:186: certificates.www.deploy[0].services[1].verify[2].adress: is not a known key (did you mean "
                "\"address\"?); address, sni, protocol\n"
                "c:9:185: certificates.www.deploy[0].services[1].verify[2].address: is missing; \"host:port\"\n"
                "c:9:224: certificates.www.deploy[0].services[1].verify[3].sni: is an address; a host name\n"
                "c:9:245: certificates.www.deploy[0].services[1].verify[3].protocol: is not a known protocol; smtp, "
                "imap, pop3, ldap, ftp, postgres\n" },
        { true,
                "  www: {names: [www.example.com], ca: le, publisher: zone, deploy: [{directory: /d, services: [{name: "
                "a, test: [x, [y]], verify: true}]}]}\n",
                "c:9:116: certificates.www.deploy[0].services[0].test[1]: is a list; a list of the program and its "
                "arguments (no shell is used)\n"
                "c:9:130: certificates.www.deploy[0].services[0].verify[0]: is not host and port; \"host:port\", "
                "\"host:port/smtp\" (imap, pop3, ldap, ftp, postgres) or {address, sni, protocol}\n" },
        { true,
                "  a: {names: a.example, ca: le, publisher: zone, deploy: {directory: /d, links: {/x/l: cert.pem}}}\n"
                "  b: {names: b.example, ca: le, publisher: zone, deploy: {directory: /x, links: {/x/l: cert.pem}}}\n"
                "  c: {names: c.example, ca: le, publisher: zone, deploy: {directory: /d}}\n",
                "c:11:70: certificates.c.deploy: /d is the directory of certificate \"a\" (c:9); a place of its own\n"
                "c:10:88: certificates.b.deploy: /x/l is a link of certificate \"a\" (c:9); a place of its own\n" },
        { false,
                "alerts: {listen: 9854, webhooks: {a: {format: gitlab}}, detectors: {served: 1s, blocklists: x}}\n"
                "notify: {ops: {command: sendmail, on: [done, dune]}}\n",
                "c:1:18: alerts.listen: is not a numeric address with a port; \"127.0.0.1:8402\", \"unix:/path\" or "
                "systemd\n"
                "c:1:47: alerts.webhooks.a.format: is not known (did you mean \"github\"?); standard-webhooks, github, "
                "gitguardian, alertmanager, generic\n"
                "c:1:38: alerts.webhooks.a.secret: is missing; {file: PATH}, {credential: NAME} or {env: NAME}, or a "
                "list of them\n"
                "c:1:77: alerts.detectors.served: is too short; a duration from 10s to 30d, such as 90s, 10m, 12h or "
                "3d\n"
                "c:1:93: alerts.detectors.blocklists: is not an absolute path; absolute paths\n"
                "c:2:25: notify.ops.command: is a text; a list of the program and its arguments (no shell is used)\n"
                "c:2:46: notify.ops.on[1]: is not a known event (did you mean \"done\"?); failed, waiting, opened, "
                "served, "
                "stuck, expiring, done\n" },
        { false,
                "cas: {le: {type: acme, directory: \"https://ca.example/\"}}\n"
                "publishers: {site: {type: webroot, directory: /w}}\n"
                "certificates:\n"
                "  www: {names: w.example, ca: le, publisher: site, elsewhere: [cdn, {b: c}], propagation: {ignore: "
                "[a_b!, [x]]}}\n"
                "admin: {listen: [{a: b}, x]}\n"
                "control: {read: [a b, [c]]}\n"
                "proxy: {url: \"http://p.example\", except: [[a], 1.2.3.4/99]}\n"
                "alerts: {trusted_proxies: [[x], proxy.example], detectors: {blocklists: [{a: b}, x]}}\n"
                "notify: {ops: {command: [/bin/x], to: [-a, [b]], on: [dune, [x]]}}\n",
                "c:5:18: admin.listen[0]: is a map; a list of 0 to 16 texts\n"
                "c:5:26: admin.listen[1]: is not a numeric address with a port; \"127.0.0.1:8402\", \"unix:/path\" or "
                "systemd\n"
                "c:6:23: control.read[1]: is a list; a list of 0 to 16 texts\n"
                "c:6:18: control.read[0]: has a character that no user or group name has; the name of a group\n"
                "c:7:43: proxy.except[0]: is a list; a list of 0 to 256 texts\n"
                "c:7:48: proxy.except[1]: is not a network; \"10.0.0.0/8\", \".corp.example\" or a host name\n"
                "c:8:28: alerts.trusted_proxies[0]: is a list; a list of 0 to 64 texts\n"
                "c:8:33: alerts.trusted_proxies[1]: is neither an address nor a network; \"192.0.2.1\" or \"10.0.0.0/8\"\n"
                "c:8:74: alerts.detectors.blocklists[0]: is a map; a list of 0 to 16 texts\n"
                "c:8:82: alerts.detectors.blocklists[1]: is not an absolute path; absolute paths\n"
                "c:9:44: notify.ops.to[1]: is a list; a list of 0 to 16 texts\n"
                "c:9:40: notify.ops.to[0]: is not a mail address; ops@example.com, or a local user\n"
                "c:9:61: notify.ops.on[1]: is a list; a text or a list of texts\n"
                "c:9:55: notify.ops.on[0]: is not a known event (did you mean \"done\"?); failed, waiting, opened, "
                "served, stuck, expiring, done\n"
                "c:4:69: certificates.www.elsewhere[1]: is a map; a list of 0 to 256 texts\n"
                "c:4:64: certificates.www.elsewhere[0]: is not host and port; \"cdn.example.com:443\"\n"
                "c:4:107: certificates.www.propagation.ignore[1]: is a list; a list of 0 to 64 texts\n"
                "c:4:101: certificates.www.propagation.ignore[0]: has a character other than letters, digits, hyphens "
                "and dots; addresses or names of name servers\n" },
        { false,
                "tokens: {listen: \"127.0.0.1:1\"}\n"
                "alerts:\n"
                "  listen: \"127.0.0.1:1\"\n"
                "  trusted_proxies: [10.0.0.0/33, proxy.example]\n"
                "  on_domain_alert: reisue\n"
                "  webhooks:\n"
                "    proof: {format: github, secret: {env: A}}\n"
                "    b: {format: generic, secret: [], header: \"X: y\", token: {env: T}}\n"
                "    c: {format: alertmanager, secret: [{env: A}, text], labels: {spki: x, domain: [a]}}\n"
                "    d: {format: github, secret: {env: A}, api: \"http://api.example\", labels: {}}\n",
                "c:4:21: alerts.trusted_proxies[0]: is neither an address nor a network; \"192.0.2.1\" or \"10.0.0.0/8\"\n"
                "c:4:34: alerts.trusted_proxies[1]: is neither an address nor a network; \"192.0.2.1\" or \"10.0.0.0/8\"\n"
                "c:5:20: alerts.on_domain_alert: is not known (did you mean \"reissue\"?); notify, reissue, ignore\n"
                "c:7:12: alerts.webhooks.proof: is not a good name; at most 64 letters, digits, . _ -, no leading dot, "
                "and not proof\n"
                "c:8:34: alerts.webhooks.b.secret: holds 0 secrets; 1 to 8\n"
                "c:8:46: alerts.webhooks.b.header: is not the name of a header; X-Signature\n"
                "c:9:50: alerts.webhooks.c.secret[1]: must not be written here, only where it is; {file: PATH}, "
                "{credential: NAME} or {env: NAME}\n"
                "c:9:72: alerts.webhooks.c.labels.spki: is not a fact that is known; spki_sha256, modulus_sha256, "
                "cert_sha256, cert_sha1, serial, serial_decimal, issuer, cert_id, domain, pem\n"
                "c:9:83: alerts.webhooks.c.labels.domain: is not the name of a label\n"
                "c:10:48: alerts.webhooks.d.api: is http to another machine; an https URL, or http for a loopback "
                "address\n"
                "c:3:11: alerts.listen: is also in tokens.listen; each listener needs an address of its own\n" },
        { false,
                "notify:\n"
                "  nobody: {on: done}\n"
                "  both: {command: [/bin/mail], url: \"https://a.example/\", secret: {credential: a}}\n"
                "  bare: {url: \"https://a.example/\"}\n"
                "  odd: {command: [/bin/mail], secret: {credential: a}}\n"
                "  to: {command: [/bin/mail], to: [ops@example.com, \"-f x\", \"a b\"]}\n"
                "  far: {url: \"http://a.example/\", secret: {credential: a}, repeat: 1s}\n"
                "  .x: {command: [/bin/mail]}\n",
                "c:2:11: notify.nobody: tells nobody; command: [PROGRAM, ARGUMENT...], or url with secret\n"
                "c:3:9: notify.both: has both a command and a url; command: [PROGRAM, ARGUMENT...], or url with "
                "secret\n"
                "c:4:9: notify.bare: has a url without a secret; {credential: NAME} of one like whsec_BASE64, the call "
                "is signed with it\n"
                "c:5:8: notify.odd: has a secret beside a command; only a call to a url is signed\n"
                "c:6:52: notify.to.to[1]: is not a mail address; ops@example.com, or a local user\n"
                "c:6:60: notify.to.to[2]: is not a mail address; ops@example.com, or a local user\n"
                "c:7:14: notify.far.url: is http to another machine; an https URL, or http for a loopback address\n"
                "c:7:68: notify.far.repeat: is too short; a duration from 1m to 30d, such as 90s, 10m, 12h or 3d\n"
                "c:8:7: notify..x: is not a good name; at most 64 letters, digits, . _ -, no leading dot\n" },
        { true,
                "  a: {names: a.example, ca: tc, publisher: zone, certificate_id: x1}\n"
                "  b: {names: b.example, ca: tc, publisher: zone, certificate_id: x2}\n"
                "  c: {names: c.example, ca: tc, publisher: zone, certificate_id: x1}\n",
                "c:11:66: certificates.c.certificate_id: is also that of certificate \"a\" (c:9); each replaces one of "
                "its own\n" },
};

static char *all_problems(const struct row *row, bool *ret_loaded)
{
        CLEANUP(free_p) char *text = text_format("%s%s", row->certificates ? prelude : "", row->text);
        struct conf_problems p = { 0 };
        struct conf *c = NULL;
        struct buf b = { 0 };

        *ret_loaded = config_load_text("c", text, strlen(text), test_all_kinds, &c, &p);
        assert_true(*ret_loaded == (c != NULL));
        for (size_t i = 0; i < p.text.count; i++)
                buf_addf(&b, "%s\n", p.text.item[i]);
        conf_problems_done(&p);
        config_free(c);
        return buf_steal(&b);
}

static void every_mistake_is_named_with_its_place_and_what_is_allowed(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                bool loaded;
                CLEANUP(free_p) char *got = all_problems(&rows[i], &loaded);
                assert_string_equal(got, rows[i].want);
                assert_false(loaded);
        }
}

static void what_is_accepted_and_does_nothing_is_a_warning(void **state)
{
        static const struct {
                const char *tokens, *cert;
                const char *want; /* NULL: nothing is said */
        } row[] = {
                { "", "  www: {names: a.example, ca: le, publisher: zone, certificate_id: a1B2}\n",
                        "c:10:68: certificates.www.certificate_id: means nothing: no CA of its list knows certificates "
                        "by "
                        "an id" },
                { "", "  www: {names: a.example, ca: [le, tc], publisher: zone, certificate_id: a1B2}\n", NULL },
                { "", "  www: {names: a.example, ca: tc, publisher: zone, certificate_id: a1B2}\n", NULL },
                { "", "  www: {names: a.example, ca: le, publisher: zone, certificate_id: null}\n", NULL },
                { "", "  www: {names: [a.example, b.example], ca: le, publisher: {default: site, b.example: self}}\n",
                        "c:10:59: certificates.www.publisher: publisher \"self\" (responder) answers nobody: "
                        "tokens.listen is not set, and b.example is to be validated by file" },
                { "tokens: {listen: \"127.0.0.1:8402\"}\n", "  www: {names: a.example, ca: le, publisher: self}\n",
                        NULL },
                { "", "  www: {names: a.example, ca: le, publisher: self, validation: tls-alpn}\n",
                        "c:10:46: certificates.www.publisher: publisher \"self\" (responder) answers nobody: "
                        "tokens.tls_listen is not set, and a.example is to be validated by tls-alpn" },
                { "tokens: {tls_listen: \"192.0.2.1:443\"}\n",
                        "  www: {names: a.example, ca: le, publisher: self, validation: tls-alpn}\n", NULL },
                { "", "  www: {names: a.example, ca: le, publisher: site}\n", NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct buf b = { 0 };
                struct conf_problems p = { 0 };
                struct conf *c = NULL;
                buf_add(&b, prelude);
                b.len -= strlen("certificates:\n");
                buf_addf(&b, "  self: {type: responder}\ncertificates:\n%s%s", row[i].cert, row[i].tokens);
                if (!config_load_text("c", b.data, b.len, test_all_kinds, &c, &p))
                        fail_msg("row %zu: %s", i, p.text.item[0]);
                if (p.warning.count != (row[i].want != NULL) ||
                        (row[i].want && strcmp(p.warning.item[0], row[i].want) != 0))
                        fail_msg("row %zu: %s", i, p.warning.count ? p.warning.item[0] : "nothing is said");
                config_free(c);
                conf_problems_done(&p);
                buf_done(&b);
        }
}

static void no_mistake_repeats_a_secret(void **state)
{
        size_t with_secret = 0;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                bool loaded;
                CLEANUP(free_p) char *got = all_problems(&rows[i], &loaded);
                with_secret += strstr(rows[i].text, "hunter2") != NULL;
                assert_null(strstr(got, "hunter"));
        }
        assert_true(with_secret >= 5);
}

static void at_most_two_hundred_problems_are_kept_and_the_rest_counted(void **state)
{
        struct buf b = { 0 };
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        for (int i = 0; i < 1000; i++)
                buf_addf(&b, "key%d: 1\n", i);
        assert_false(config_load_text("c", b.data, b.len, test_all_kinds, &c, &p));
        assert_int_equal(p.text.count, 200);
        assert_int_equal(p.beyond, 800);
        conf_problems_done(&p);
        buf_done(&b);
}

static void what_should_load_after_the_prelude_loads(void **state)
{
        static const char *const good[] = {
                "  www: {names: www.example.com, ca: le, publisher: zone}\n",
                "  www: {names: WWW.Example.com, ca: [le], publisher: null, validation: tls-alpn}\n",
                "  www: {names: [\"2001:DB8::1\"], ca: {use: le}, publisher: site, validation: file}\n",
                "  www: {names: w.example, ca: tc, validation: dns-auto, certificate_id: a1B2c3D4, renew: off}\n",
                "  www: {names: w.example, ca: [{use: le, validation: file, publisher: site}, {use: le, validation: "
                "tls-alpn}]}\n",
                "  www: {names: w.example, ca: le, publisher: hand, validation: file}\n",
                "  www: {names: w.example, ca: le, publisher: zone, key: {csr: /a.csr}, deploy: {directory: /d}}\n",
                "  www: {names: w.example, ca: le, publisher: zone, key: {csr: /a.csr, reuse: never}}\n",
                "  www: {names: w.example, ca: le, publisher: zone, propagation: {quorum: 2, ignore: [\"192.0.2.7\", "
                "ns2.example.net.]}}\n",
                "  www: {names: w.example, ca: le, publisher: zone, deploy: {directory: /d, services: [{preset: nginx, "
                "test: []}]}}\n",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                bool loaded;
                CLEANUP(free_p) char *got = all_problems(&(struct row){ true, good[i], "" }, &loaded);
                assert_string_equal(got, "");
                assert_true(loaded);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_mistake_is_named_with_its_place_and_what_is_allowed),
                cmocka_unit_test(what_is_accepted_and_does_nothing_is_a_warning),
                cmocka_unit_test(no_mistake_repeats_a_secret),
                cmocka_unit_test(at_most_two_hundred_problems_are_kept_and_the_rest_counted),
                cmocka_unit_test(what_should_load_after_the_prelude_loads),
        };

        (void)test_some_kinds;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
