"""dcvd from the shell: its options, what it refuses to start with, and how fast (faults H1, H3)."""

import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import unittest

import namespace
import probe
from world import CONFIG, DCVD_UID, RUNTIME, SOURCE, STATE, World

EXAMPLE = os.path.join(SOURCE, "config", "examples", "tencent-nginx.yaml")


def why_not(schema, value, root=None, path="$"):
    """The JSON Schema keywords that dcvd uses; None if value fits, else where it does not."""
    root = root or schema
    known = {"$schema", "title", "description", "type", "properties", "required", "additionalProperties", "propertyNames", "items", "enum",
             "anyOf", "oneOf", "pattern", "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "minProperties",
             "maxProperties", "const", "$ref", "$defs", "allOf", "not", "if", "then", "else", "patternProperties", "default", "examples"}
    assert set(schema) <= known, set(schema) - known
    if "enum" in schema and value not in schema["enum"]:
        return f"{path}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        return f"{path}: {value!r} is not {schema['const']!r}"
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and not any(isinstance(value, kinds[k]) and not (isinstance(value, bool) and k != "boolean") for k in wanted):
        return f"{path}: {value!r} is no {wanted}"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            found = [why_not(one, value, root, path) for one in schema[word]]
            if found.count(None) == 0 or (word == "oneOf" and found.count(None) != 1):
                return f"{path}: {found}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return f"{path}: {value!r} is not {schema['pattern']}"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
            return f"{path}: {len(value)} items"
        bad = [why_not(schema.get("items", {}), item, root, f"{path}[{i}]") for i, item in enumerate(value)]
        return next(filter(None, bad), None)
    if isinstance(value, dict):
        missing = set(schema.get("required", ())) - set(value)
        if missing:
            return f"{path}: without {missing}"
        for key, item in value.items():
            one = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            if one is False:
                return f"{path}: {key} is unknown"
            bad = why_not({} if one is True else one, item, root, f"{path}.{key}")
            if bad:
                return bad
    return None


class Daemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(services=("double", "nginx"))
        cls.addClassCleanup(cls.world.stop)
        cls.world.start()

    def dcvd(self, *arguments, env=None, limit=None):
        def limits():
            if limit:
                resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        return subprocess.run([self.world.program("dcvd"), *arguments], capture_output=True, text=True, timeout=20 * probe.BUSY, check=False,
                              env={**os.environ, **(env or {})}, preexec_fn=limits, cwd="/tmp")

    def test_its_options(self):
        shown = self.dcvd("--help")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        for name in ("--config FILE", "--check-config", "--print-config", "--print-schema", "--version", "-h, --help", "SIGHUP", "78", "75"):
            self.assertIn(name, shown.stdout)
        self.assertEqual(self.dcvd("-h").stdout, shown.stdout)
        self.assertRegex(self.dcvd("--version").stdout, r"^dcvd \d+\.\d+\.\d+\n$")
        for arguments, said in ((("--chek-config",), "did you mean --check-config?"), (("--config",), "--config needs a file"),
                                (("--config=",), "--config needs a file"), (("start",), "unknown argument start"),
                                (("--check-config=yes",), "unknown option"), (("--xyzzyxyzzyxyzzy",), "unknown option --xyzzyxyzzyxyzzy\n")):
            done = self.dcvd(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(said, done.stderr)

    def test_the_configuration_is_checked_and_printed(self):
        good = self.dcvd("--check-config", "--config", EXAMPLE)
        self.assertEqual((good.returncode, good.stdout), (0, f"{EXAMPLE}: good, 1 certificate\n"))
        self.assertEqual(self.dcvd("--check-config", env={"DCVD_CONFIG": EXAMPLE}).stdout, good.stdout)
        printed = self.dcvd("--print-config", f"--config={EXAMPLE}")
        self.assertEqual(printed.returncode, 0)
        self.assertIn('secret_key: "***"', printed.stdout)
        self.assertNotIn("tencent-key", printed.stdout)
        for line in printed.stdout.splitlines():
            if not line.endswith(":") and " {" not in line[:3]:
                self.assertRegex(line, r"# (default|default: the CA's rule|.*tencent-nginx\.yaml:\d+)$|^ *- directory", line)
        self.assertRegex(printed.stdout, r"(?m)^    certificate_id: a1B2c3D4 # .*tencent-nginx\.yaml:\d+$")
        self.assertRegex(printed.stdout, r"(?m)^    rehearse: auto # default$")

    def test_a_checked_configuration_has_secrets_that_the_start_takes(self):
        env, canary = self.world.environment(), "CanaryOfTheCheck000000000000000001"
        path, other = self.world.secret("checked", canary), self.world.secret("other", canary + "b")
        config = self.world.default_config()
        config["cas"]["tencent"]["token"] = {"file": path}
        self.world.write_config(config)

        def remake(mode=0o400, value=canary):
            os.unlink(path)
            if value is None:
                os.mkfifo(path, 0o600)
                self.world.give_to_dcvd(path)
            else:
                self.world.secret("checked", value)
                os.chmod(path, mode)

        self.assertEqual(self.dcvd("--check-config", env=env).stdout, f"{CONFIG}: good, 1 certificate\n")
        for how, said in (({"mode": 0o644}, f"has mode 0644: others could read or change it; chmod 0640 {path}"),
                          ({"value": ""}, f"secret file {path} is empty"),
                          ({"value": None}, f"secret file {path} is not a regular file")):
            with self.subTest(said):
                remake(**how)
                for where in (None, env):  # with systemd's credentials and without
                    done = self.dcvd("--check-config", env=where)
                    self.assertEqual((done.returncode, done.stdout), (78, ""), done.stderr)
                    self.assertRegex(done.stderr, rf"(?m)^{CONFIG}:\d+:\d+: cas\.tencent\.token: .*{said}")
                    self.assertNotIn(canary, done.stderr)
                started = self.dcvd(env=env)  # which says the same
                self.assertEqual(started.returncode, 78)
                self.assertIn(said.partition(";")[0], started.stderr)
        os.unlink(path)  # as in a package that is not set up yet
        absent = self.dcvd("--check-config", env=env)
        self.assertEqual((absent.returncode, absent.stdout), (0, f"{CONFIG}: good, 1 certificate\n"), absent.stderr)
        self.assertRegex(absent.stderr, rf"(?m)^warning: {CONFIG}:\d+:\d+: cas\.tencent\.token: secret file {path}: .*install -m 0600")
        config["cas"]["tencent"]["token"] = {"env": "DCVD_CHECKED"}
        config["cas"]["tencent"]["secret_key"] = {"file": other}
        self.world.write_config(config)
        os.chmod(other, 0o604)
        both = self.dcvd("--check-config", env=env)  # every one of them, not the first alone
        self.assertEqual((both.returncode, both.stdout), (78, ""), both.stderr)
        self.assertRegex(both.stderr, r"cas\.tencent\.token: environment variable DCVD_CHECKED is not set; set DCVD_CHECKED")
        self.assertRegex(both.stderr, r"cas\.tencent\.secret_key: secret file \S+ has mode 0604")
        os.chmod(other, 0o400)
        self.assertEqual(self.dcvd("--check-config", env={**env, "DCVD_CHECKED": canary}).returncode, 0)
        self.look_as_others(config, env, other)
        for one in (path, other):
            if os.path.exists(one):
                os.unlink(one)
        self.world.write_config(self.world.default_config())

    def look_as_others(self, config, env, path):
        """What dcvd cannot read is refused to root too, who becomes dcvd at the start; a stranger cannot tell."""
        if not namespace.has_many_users():
            return
        del config["cas"]["tencent"]["token"]
        self.world.write_config(config)
        os.chown(path, 0, 0)
        for user, code, said in ((0, 78, ""), (DCVD_UID, 78, ""), (DCVD_UID + 1, 0, "warning: ")):
            done = subprocess.run([self.world.program("dcvd"), "--check-config"], capture_output=True, text=True, timeout=20 * probe.BUSY, check=False,
                                  env={**os.environ, **env}, user=user, group=user, extra_groups=[], cwd="/tmp")
            self.assertEqual(done.returncode, code, (user, done.stderr))
            self.assertRegex(done.stderr, rf"(?m)^{said}{CONFIG}:\d+:\d+: cas\.tencent\.secret_key: secret file {path}: Permission denied")

    def test_the_schema_is_right_about_good_and_bad(self):
        shown = self.dcvd("--print-schema")
        schema = json.loads(shown.stdout)
        self.assertEqual((shown.returncode, schema["$schema"]), (0, "https://json-schema.org/draft/2020-12/schema"))
        config = self.world.default_config()
        self.assertIsNone(why_not(schema, config))
        for change in ({"certificate": {}}, {"log": {"level": "loud"}}, {"limits": {"jobs": "many"}}, {"publishers": {"x": {"type": "ftp"}}},
                       {"cas": {"t": {"type": "tencent"}}}, {"certificates": {"www": {"ca": "tencent"}}}, {"resolvers": {}},
                       {"state_directory": "relative"}):
            self.assertIsNotNone(why_not(schema, {**config, **change}), change)
            self.world.write_config({**config, **change}, "/etc/dcvd/changed.yaml")
            self.assertEqual(self.dcvd("--check-config", "--config", "/etc/dcvd/changed.yaml").returncode, 78, change)

    def test_hostile_files_are_refused_at_once(self):
        os.mkfifo("/tmp/fifo")
        with open(self.world.program("dcvd"), "rb") as f:
            limit = None if b"__asan_init" in f.read() else 64 << 20  # a sanitizer's own memory is not ours
        names = "bcdefghij"
        bomb = "a: &a [x]\n" + "".join(f"{c}: &{c} [{', '.join(['*' + chr(ord(c) - 1)] * 9)}]\n" for c in names)
        for text, said in ((bomb, "is an alias; aliases are not allowed"), ("log: {}\n---\nlog: {}\n", "a second document begins"),
                           ("log: !!map {}\n", "has a tag"), ("log: {level: info, level: info}\n", "given twice"),
                           (b"log: {level: \"\xff\"}\n", "not valid UTF-8"), ("log: " + "[" * 100000, "nested too deeply"),
                           ("# " + "x" * (2 << 20), "larger than 262144 bytes"), ("x: 1\n" * 20000, "is given twice"),
                           ("- a\n", "a map of sections is wanted"), ("log: {level: lound}\n", "log.level: is not known"),
                           ("certificats: {}\n", 'did you mean "certificates"?'), (None, "No such file"), ("/tmp", "not a regular file"),
                           ("/tmp/fifo", "not a regular file"), ("/dev/zero", "not a regular file")):
            path = "/tmp/hostile.yaml"
            if text is None or (isinstance(text, str) and text.startswith("/")):
                path = text or "/tmp/nowhere.yaml"
            else:
                with open(path, "wb") as f:
                    f.write(text if isinstance(text, bytes) else text.encode())
            before = os.times()
            done = self.dcvd("--check-config", "--config", path, limit=limit)
            after = os.times()
            self.assertEqual(done.returncode, 78, (said, done.stderr[-300:]))
            self.assertIn(said, done.stderr)
            self.assertRegex(done.stderr.splitlines()[0], r"^[^:]+:\d+:\d+: ")
            self.assertLess(after.children_user - before.children_user, 1, said)

    def test_included_files_are_merged_or_named(self):
        config = self.world.default_config()
        www = config["certificates"].pop("www")
        os.makedirs("/etc/dcvd/conf.d", exist_ok=True)
        main = self.world.write_config({"include": "/etc/dcvd/conf.d/*.yaml", **config}, "/etc/dcvd/main.yaml")
        check = lambda: self.dcvd("--check-config", "--config", main)  # noqa: E731
        self.assertEqual(check().stdout, f"{main}: good, 0 certificates\n")
        self.world.write_config({"certificates": {"www": www}}, "/etc/dcvd/conf.d/a.yaml")
        self.assertEqual(check().stdout, f"{main}: good, 1 certificate\n")
        self.world.write_config({"certificates": {"www": www}}, "/etc/dcvd/conf.d/b.yaml")
        twice = check()
        self.assertEqual(twice.returncode, 78)
        self.assertRegex(twice.stderr, r"/etc/dcvd/conf\.d/b\.yaml:\d+:\d+: certificates\.www: is given twice; it is also in .*a\.yaml")
        self.world.write_config("log: {level: x}\nlimits: {jobs: 0}\n", "/etc/dcvd/conf.d/b.yaml")
        both = check()
        self.assertIn("/etc/dcvd/conf.d/b.yaml:1:14: log.level: is not known; error, warning, info, debug\n", both.stderr)
        self.assertIn("/etc/dcvd/conf.d/b.yaml:2:16: limits.jobs: is too small", both.stderr)
        os.unlink("/etc/dcvd/conf.d/b.yaml")
        os.symlink("/nowhere", "/etc/dcvd/conf.d/b.yaml")
        dangling = check()
        self.assertEqual(dangling.returncode, 78)
        self.assertIn("/etc/dcvd/conf.d/b.yaml:1:1: ", dangling.stderr)
        os.unlink("/etc/dcvd/conf.d/b.yaml")

    def test_started_as_root_it_keeps_nothing_of_root(self):
        if not namespace.has_many_users():
            self.skipTest("one user only: there is nobody to become")
        self.world.write_config(self.world.default_config())
        for path in (STATE, RUNTIME):
            shutil.rmtree(path, True)
        self.world.start_dcvd()
        pid = self.world.dcvd.pid
        for task in os.listdir(f"/proc/{pid}/task"):
            status = dict(line.split(":\t", 1) for line in probe.read_text(f"/proc/{pid}/task/{task}/status").splitlines() if ":\t" in line)
            self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {str(DCVD_UID)})
            self.assertEqual((int(status["CapEff"], 16), int(status["CapPrm"], 16)), (0, 0))
            self.assertNotIn("0", status["Groups"].split(), "root's group was kept")
        broker = probe.read_text(f"/proc/{pid}/task/{pid}/children").split()
        self.assertEqual(len(broker), 1, "the broker alone is root")
        self.assertEqual(os.stat(f"/proc/{broker[0]}").st_uid, 0)
        for path, mode in ((STATE, 0o700), (RUNTIME, 0o755), (f"{STATE}/keys", 0o700), (f"{STATE}/dcvd.db", 0o600)):
            seen = os.stat(path)
            self.assertEqual((seen.st_uid, oct(stat.S_IMODE(seen.st_mode))), (DCVD_UID, oct(mode)), path)
        self.assertEqual(self.world.dcvctl("status").returncode, 0)
        self.world.dcvd.stop()
        probe.until(lambda: not os.path.exists(f"/proc/{broker[0]}"), what="the broker's end")
        self.assertFalse(os.path.exists(f"{RUNTIME}/dcvd.sock"), "the socket was left behind")
        self.world.start_dcvd(as_dcvd=True)
        self.assertEqual(os.stat(f"/proc/{self.world.dcvd.pid}").st_uid, DCVD_UID)
        self.assertEqual(self.world.dcvctl("status").returncode, 0)
        self.world.dcvd.stop()

    def test_it_does_not_start_twice_or_on_what_is_not_its_own(self):
        self.world.write_config(self.world.default_config())
        self.world.start_dcvd()
        env = self.world.environment()
        second = self.dcvd(env=env)
        self.assertEqual(second.returncode, 75, second.stderr)
        self.assertIn("/var/lib/dcvd/lock is held by another process", second.stderr)
        self.world.dcvd.stop()
        self.assertEqual(self.world.dcvd.process.returncode, 0, "SIGTERM is not an error")
        quiet = {**self.world.default_config(), "log": {"level": "error", "format": "json"}}
        self.world.write_config(quiet)
        before = len(probe.read_text(self.world.dcvd.log))
        self.world.start_dcvd()
        self.assertIn("dcvd cannot start: /var/lib/dcvd/lock is held", json.loads(self.dcvd(env=env).stderr)["message"])
        self.world.write_config({**quiet, "nonsense": 1})
        self.world.dcvd.signal(signal.SIGHUP)
        logged = lambda: probe.read_text(self.world.dcvd.log)[before:]  # noqa: E731
        probe.until(lambda: "stays in force" in logged(), what="the end of the reload")
        said = [json.loads(line)["message"] for line in logged().splitlines()]
        self.assertEqual([line for line in said if "nonsense: is not a known key" in line], said[:1], "a log of JSON lines alone")
        self.world.dcvd.stop()
        self.world.write_config(self.world.default_config())
        os.chmod(STATE, 0o777)
        shared = self.dcvd(env=env)
        self.assertEqual(shared.returncode, 78, shared.stderr)
        self.assertIn(f"chmod 0700 {STATE}", shared.stderr)
        os.chmod(STATE, 0o700)
        os.chmod(CONFIG, 0o666)
        self.world.start_dcvd()
        self.assertIn(f"dcvd-helper will refuse this configuration: {CONFIG}", self.world.dcvd.tail())
        self.world.dcvd.stop()
        os.chmod(CONFIG, 0o644)
        config = self.world.default_config()
        config["cas"]["tencent"]["token"] = {"credential": "absent"}
        self.world.write_config(config)
        self.world.start_dcvd()
        self.assertIn("write the secret into /etc/dcvd/credentials/absent", self.world.dcvd.tail())
        self.world.dcvd.stop()
        config["cas"]["tencent"]["token"] = {"env": "ABSENT"}
        self.world.write_config(config)
        absent = self.dcvd(env=env)
        self.assertEqual(absent.returncode, 78, absent.stderr)
        self.assertIn("set ABSENT before dcvd starts", absent.stderr)
        self.world.write_config(self.world.default_config())
        os.chmod("/etc/dcvd/credentials/tsig", 0o644)
        readable = self.dcvd(env=env)
        self.assertEqual(readable.returncode, 78, readable.stderr)
        self.assertIn("chmod 0640 /etc/dcvd/credentials/tsig", readable.stderr)
        os.chmod("/etc/dcvd/credentials/tsig", 0o400)
        self.world.write_config({**self.world.default_config(), "admin": {"listen": "0.0.0.0:9853"}})
        public = self.dcvd("--check-config")
        self.assertEqual(public.returncode, 78)
        self.assertIn("public: true", public.stderr)
        self.assertEqual(os.stat(STATE).st_uid, DCVD_UID if os.geteuid() == 0 else os.geteuid())


if __name__ == "__main__":
    unittest.main()
