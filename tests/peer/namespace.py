"""A machine of the test's own: user, network, mount, process, IPC and host-name namespaces, private /etc, /run, /tmp,
/dev/shm, /var/lib and /usr/local/bin.

enter(function) runs function() inside and returns its exit status. When it returns, or when the caller dies,
everything inside is dead: the kernel kills a process namespace with its first process. Users 0 to 65535 exist inside. Run by
root they are those of the host (where root may not make a user namespace, it goes without); otherwise root is the caller and
the others are those that /etc/subuid gives him. Without such, only one user exists, other users are shown by a nested
namespace (see as_user), and what gives files to other users fails."""

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import traceback

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MNT_DETACH = 2
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
PRIVATE = ("/run", "/tmp", "/dev/shm", "/var/lib", "/usr/local/bin")
OF_ALL = ("/tmp", "/dev/shm")
USERS = (("dcvd", 61001), ("dcvd-hook", 61002))
GROUPS = (("dcvd", 61001), ("dcvd-hook", 61002), ("dcvd-read", 61003))
libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _check(libc.unshare(flags), "unshare")


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: None if text is None else os.fsencode(text)
    _check(libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)),
           f"mount {target}")


def _die_with_parent():
    _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def _map_users(pid, root, uid, gid):
    if root:
        _write(f"/proc/{pid}/uid_map", "0 0 65536")
        _write(f"/proc/{pid}/gid_map", "0 0 65536")
        return
    users, groups = _subordinate("/etc/subuid", uid), _subordinate("/etc/subgid", uid)
    if users and groups and shutil.which("newuidmap") and shutil.which("newgidmap"):
        for program, own, first in (("newuidmap", uid, users), ("newgidmap", gid, groups)):
            subprocess.run([program, str(pid), "0", str(own), "1", "1", str(first), "65535"], check=True)
    else:
        _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/uid_map", f"0 {uid} 1")
        _write(f"/proc/{pid}/gid_map", f"0 {gid} 1")


def _subordinate(path, uid):
    """The first of the ids that this user may hand out in a namespace (subuid(5)), if they are enough; else None."""
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
        with open(path, encoding="utf-8") as f:
            ranges = [line.split(":") for line in f.read().split()]
    except (OSError, KeyError):
        return None
    return next((int(first) for name, first, count in ranges if name in names and int(count) >= 65535), None)


def has_many_users():
    """Inside: are there more users than one?"""
    with open("/proc/self/uid_map", encoding="ascii") as f:
        return any(int(line.split()[2]) > 1 for line in f)


def enter(function, keep=()):
    """keep: paths that must stay visible though they may lie below a private directory."""
    ready, go = os.pipe(), os.pipe()
    root, uid, gid = os.geteuid() == 0, os.geteuid(), os.getegid()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run(lambda: _outer(function, keep, ready, go, root))
    os.close(ready[1])
    os.close(go[0])
    if os.read(ready[0], 1):
        _map_users(child, root, uid, gid)
    os.close(go[1])
    forward = lambda number, _: os.kill(child, signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(function):
    """The whole life of a forked process."""
    status = 70
    try:
        status = function()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 255)


def _outer(function, keep, ready, go, root):
    _die_with_parent()
    os.close(go[1])
    try:
        unshare(CLONE_NEWUSER)
        os.write(ready[1], b"x")
    except OSError as error:
        if not root:
            print(f"{error}: user namespaces are not allowed here "
                  "(sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)")
            return 70
    os.close(ready[1])
    os.read(go[0], 1)
    if os.geteuid() != 0:
        print("the user map could not be written")
        return 70
    os.setgid(0)
    os.setuid(0)
    if root:
        os.setgroups([])
    _die_with_parent()
    unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)
    first = os.fork()
    if first == 0:
        _run(lambda: _first(function, keep))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _first(function, keep):
    """Process 1 of the namespace: sets up, runs the test in a child, reaps what is orphaned."""
    _die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _mounts(keep)
    _network()
    test = os.fork()
    if test == 0:
        _run(function)
    while True:
        pid, status = os.wait()
        if pid == test:
            return os.waitstatus_to_exitcode(status)


def _mounts(keep):
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    _in_memory((*PRIVATE, *_closed(keep)), keep)
    _private_etc()
    if os.stat("/").st_uid != 0:
        _own_root()


def _own_root():
    """The host's / belongs to nobody whom this namespace knows, and dcvd trusts no configuration below it: the same
    directories below a / of our own."""
    new = "/run/.root"
    os.mkdir(new)
    mount("tmpfs", new, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for entry in os.scandir("/"):
        to = new + entry.path
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), to)
        elif entry.is_dir():
            os.mkdir(to)
            mount(entry.path, to, None, MS_BIND | MS_REC)
    os.mkdir(new + "/.old")
    here = os.getcwd()
    subprocess.run(["pivot_root", new, new + "/.old"], check=True)
    os.chdir(here)
    _check(libc.umount2(b"/.old", MNT_DETACH), "umount /.old")
    os.rmdir("/.old")


def _closed(paths):
    """Directories above these that only their owner may enter, as /root: users of the test's own run the programs too."""
    found = set()
    for path in paths:
        above = os.path.realpath(path)
        while above != "/":
            above = os.path.dirname(above)
            if not os.stat(above).st_mode & 0o001:
                found.add(above)
    return [path for path in found if not any(path.startswith(other + "/") for other in (*found, *PRIVATE))]


def _in_memory(private, keep):
    """Empty directories in memory in place of these, where of the old ones only what is to be kept is still seen."""
    kept = []
    for path in sorted({os.path.realpath(p) for p in keep}):
        if any(path == p or path.startswith(p + "/") for p in private):
            kept.append((path, os.open(path, os.O_PATH | os.O_CLOEXEC)))
    for path in private:
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" if path in OF_ALL else "mode=0755")
    for path, fd in kept:
        os.makedirs(path, exist_ok=True)
        mount(f"/proc/self/fd/{fd}", path, None, MS_BIND | MS_REC)
        os.close(fd)


def _private_etc():
    """A writable copy, so that configurations live where programs expect them and helper checks of ownership are
    real."""
    copy = "/run/.etc"
    os.mkdir(copy, 0o755)
    _copy_tree("/etc", copy)
    _append(copy + "/passwd",
            [f"{name}:x:{uid}:{uid}:{name}:/var/lib/{name}:/usr/sbin/nologin\n" for name, uid in USERS])
    _append(copy + "/group", [f"{name}:x:{gid}:\n" for name, gid in GROUPS])
    for name in ("resolv.conf", "hosts"):
        if os.path.lexists(f"{copy}/{name}"):
            os.unlink(f"{copy}/{name}")
    _write(copy + "/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    _write(copy + "/resolv.conf", "")
    mount(copy, "/etc", None, MS_BIND)


def _append(path, lines):
    """In place of lines of the same names: a host where dcvd is installed has its users, with other numbers."""
    ours = {line.partition(":")[0] for line in lines}
    with open(path, "a+", encoding="utf-8") as f:
        f.seek(0)
        others = [line for line in f if line.partition(":")[0] not in ours]
        f.truncate(0)
        f.writelines([*others, *lines])


def _copy_tree(source, target):
    """What this user may read of a directory, links as links, owners as far as they can be set."""
    try:
        entries = list(os.scandir(source))
    except PermissionError:
        return
    for entry in entries:
        to = os.path.join(target, entry.name)
        try:
            status = entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), to)
            elif entry.is_dir(follow_symlinks=False):
                os.mkdir(to, 0o755)
                _copy_tree(entry.path, to)
                os.chmod(to, status.st_mode & 0o7777)
            elif entry.is_file(follow_symlinks=False):
                shutil.copyfile(entry.path, to)
                os.chmod(to, status.st_mode & 0o7777)
        except OSError:
            continue
        try:
            os.chown(to, status.st_uid, status.st_gid, follow_symlinks=False)
        except OSError:
            pass


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sH14x", b"lo", 0x41)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS


def alone(keep):
    """This process, still the same user, leaves the host's network for one with loopback alone, and the host's /tmp
    and /dev/shm for some in memory, where no slow disk makes a test slow. keep: as for enter()."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        unshare(CLONE_NEWNET | CLONE_NEWNS)
    else:
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    _loopback_up()
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    here = os.getcwd()
    _in_memory(OF_ALL, keep)
    os.chdir(here)


def _network():
    _loopback_up()
    _write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    socket.sethostname("world")


def as_user(uid, gid):
    """For Popen(preexec_fn=...): this process gets these ids; with one user only, in a nested namespace that shows
    them."""
    def become():
        if has_many_users():
            os.setgroups([gid])
            os.setgid(gid)
            os.setuid(uid)
        else:
            unshare(CLONE_NEWUSER)
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{uid} 0 1")
            _write("/proc/self/gid_map", f"{gid} 0 1")
    return become
