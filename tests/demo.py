"""The main job for the eyes: a leaked key, and what dcvd does about it. Knot, NSD, Unbound, nginx and the Tencent double run in namespaces of their own."""

import os
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "peer"), os.path.join(HERE, "doubles", "tencent")]
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"

import namespace  # noqa: E402

BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "", "")
SECONDARY_LAGS_S = 2


def say(text):
    print(f"\n{BOLD}{text}{OFF}", flush=True)


def show(lines):
    for line in lines:
        print(f"  {DIM}{line}{OFF}", flush=True)


def served(world):
    import probe
    from servers import WEB

    world.nginx.settle()  # old workers accept for some time after a reload
    certificate = probe.served(WEB, "www.example.test")
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial", "-issuer", "-enddate", "-fingerprint", "-sha256"], input=certificate.der,
                          capture_output=True, check=True).stdout.decode().splitlines()
    show(text)
    return text[-1]


def dcvctl(world, *arguments, check=True):
    print(f"\n  $ dcvctl {' '.join(arguments)}", flush=True)
    done = subprocess.run([world.program("dcvctl"), *arguments], env={**os.environ, **world.environment()}, check=False, cwd="/tmp",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    show(done.stdout.splitlines())
    if check and done.returncode != 0:
        raise SystemExit(f"dcvctl {arguments[0]} ended with {done.returncode}")


def follow(world, *arguments):
    print(f"\n  $ dcvctl {' '.join(arguments)}", flush=True)
    child = subprocess.Popen([world.program("dcvctl"), *arguments], env={**os.environ, **world.environment()}, cwd="/tmp", stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    for line in child.stdout:
        show([line.rstrip()])
    if child.wait() != 0:
        raise SystemExit(f"dcvctl {arguments[0]} ended with {child.returncode}")


def demo():
    import probe
    from servers import PRIMARY, SECONDARY
    from world import FREE, World

    with World() as world:
        world.start_nginx()
        say("A private machine: Knot (primary), NSD (secondary), Unbound, nginx, and the Tencent Cloud double. nginx serves:")
        before = served(world)
        say("dcvd, with the configuration of a newcomer")
        config = world.default_config()
        world.write_config(config)
        show(open("/etc/dcvd/dcvd.yaml", encoding="utf-8").read().splitlines()[:12] + ["..."])
        world.start_dcvd()
        directory = config["certificates"]["www"]["deploy"][0]["directory"]
        say("It takes over the certificate the host has")
        dcvctl(world, "import", "www", "--cert", f"{directory}/fullchain.pem", "--key", f"{directory}/privkey.pem")
        say("What would a reissue do? Nothing is spent by asking")
        dcvctl(world, "reissue", "www", "--key-compromised", "--dry-run")
        say("The key has leaked. One command; from here on nobody types anything (the secondary name server is slow tonight)")
        world.dns.relay.hold()
        threading.Timer(SECONDARY_LAGS_S, world.dns.relay.release).start()
        follow(world, "reissue", "www", "--key-compromised", "--reason", "key found in a public repository", "--yes", "--wait")
        say("nginx now serves")
        after = served(world)
        say("What the CA saw (its ledger)")
        calls = world.ledger()
        show(f"{c.get('action')} -> {c.get('outcome')}" for c in calls if c.get("action"))
        say("The tokens are gone from both name servers")
        left = lambda: [v for s in (PRIMARY, SECONDARY) for v in probe.dns_values(s, "_dnsauth.www.example.test", "TXT")]  # noqa: E731
        probe.until(lambda: not left(), 20, "the secondary without tokens")
        show([f"_dnsauth.www.example.test TXT: {left() or 'nothing'}"])
        dcvctl(world, "status", "www")
        dcvctl(world, "history", "www")
        replaced = sum(c.get("action") == "ReplaceCertificate" for c in calls)
        if before == after or replaced != 1:
            raise SystemExit("the certificate was not replaced exactly once")
        say("Done: a new key, a new certificate, served; exactly one order was sent.")
    return 0


def main():
    build = os.environ.get("DCVD_BUILD") or sys.exit("DCVD_BUILD names no folder of programs: run tests/demo.sh")
    sys.exit(namespace.enter(demo, [os.path.dirname(HERE), build]))


if __name__ == "__main__":
    main()
