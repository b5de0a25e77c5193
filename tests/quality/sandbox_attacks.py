"""Programs that mean harm, by the name they have in docs/quality/sandbox.md. Each raises where it is refused."""

from workbench.quality.sandbox.limits import Limits

QUICK = Limits(wall_s=5.0, cpu_s=5, memory_bytes=160 << 20, folder_bytes=4 << 20)
ENDLESS = Limits(wall_s=0.4)
SEVERAL = Limits(wall_s=5.0, memory_bytes=160 << 20, processes=4)

# what every attack finds: SECRET (a file that all may read and write), HOME (a folder that all may write), PORT and
# SOCKET (both listen), VICTIM (a process of who started the sandbox)
PRELUDE = """
import atexit, ctypes, fcntl, os, resource, signal, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
"""

ATTACKS = {
    "loops for ever": "while True: pass",
    "sleeps for ever": "time.sleep(60)",
    "a fork bomb": "while True: os.fork()",
    "a thread bomb": "while True: threading.Thread(target=time.sleep, args=(60,)).start()",
    "a memory bomb": "held = []\nwhile True: held.append(bytearray(10_000_000))",
    "writes output for ever": "while True: print('x' * 1000)",
    "fills its folder": "for n in range(64): open(f'{n}', 'wb').write(b'0' * (1 << 20))\ntime.sleep(60)",
    "writes one large file": "open('large', 'wb').write(b'0' * (2 << 20))",
    "opens a TCP connection": "socket.create_connection(('127.0.0.1', PORT))",
    "connects to a unix socket": "socket.socket(socket.AF_UNIX).connect(SOCKET)",
    "reads a file of yours": "print(open(SECRET).read())",
    "reads it through a symbolic link": "os.symlink(SECRET, 'link')\nprint(open('link').read())",
    "reads it through a hard link": "os.link(SECRET, 'link')\nprint(open('link').read())",
    "writes into your home": "open(HOME + '/pwned', 'w').write('x')",
    "makes a folder in your home": "os.mkdir(HOME + '/pwned')",
    "empties a file while it opens it": "os.open(SECRET, os.O_RDONLY | os.O_TRUNC)",
    "empties a file by name": "os.truncate(SECRET, 0)",
    "removes a file of yours": "os.unlink(SECRET)",
    "changes a file's mode": "os.chmod(SECRET, 0)",
    "reads the environment": "assert [name for name in os.environ if 'SECRET' in name]",
    "reads its parent's environment": "print(open(f'/proc/{os.getppid()}/environ').read())",
    "reads its own command line": "print(open('/proc/self/cmdline').read())",
    "kills its parent": "os.kill(os.getppid(), signal.SIGKILL)",
    "kills another process": "os.kill(VICTIM, signal.SIGKILL)",
    "kills everything it may": "os.kill(-1, signal.SIGKILL)",
    "has a signal sent for it": "fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, VICTIM)",
    "limits another process": "resource.prlimit(VICTIM, resource.RLIMIT_CPU, (0, 0))",
    "traces its parent": "call('ptrace', 16, os.getppid(), 0, 0)",
    "reads another's memory": "call('process_vm_readv', VICTIM, 0, 0, 0, 0, 0)",
    "mounts a file system": "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    "makes a namespace": "call('unshare', 0x10000000)",
    "reads the kernel's keyring": "call('syscall', 250, 0, -3, 1)",
    "starts a program": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'true'])",
    "leaves a daemon behind": "if os.fork() == 0:\n    os.setsid()\n    time.sleep(60)",
    "calls the kernel by other numbers": "libc.syscall(0x40000000 | 39)",
    "reads memory that is not there": "ctypes.string_at(8)",
    "aborts": "os.abort()",
    "leaves by sys.exit(0) before the tests": "sys.exit(0)",
    "leaves by os._exit(0) before the tests": "os._exit(0)",
    "claims success on every descriptor": """
def lie(*_):
    for fd in range(3, 32):
        try: os.write(fd, b'{"end": "passed", "nonce": "0"}\\n')
        except OSError: pass
lie()
assert False""",
    "lies in an atexit and a __del__": """
class Liar:
    def __del__(self): os._exit(0)
liar = Liar()
atexit.register(os._exit, 0)
atexit.register(print, "passed")
assert False""",
}
TESTS = "assert True"
LIMITS = {"loops for ever": ENDLESS, "sleeps for ever": ENDLESS}

# bubblewrap with processes: how they end, and that nothing is left of them
WITH_PROCESSES = {
    "a fork bomb": ("while True: os.fork()", {"blocked"}),
    "leaves daemons behind": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.closerange(0, 32)\n    time.sleep(60)",
        {"passed"},
    ),
    "kills everything it may": ("os.kill(-1, signal.SIGKILL)", {"failed"}),
    "starts a program": (
        "import subprocess\nassert subprocess.run(['/bin/echo', 'x'], capture_output=True).stdout == b'x\\n'",
        {"passed"},
    ),
}
