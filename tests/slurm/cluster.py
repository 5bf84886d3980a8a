"""A Slurm cluster of one machine for tests: two nodes with two pretended GPUs each, below one temporary folder.

It needs root, Slurm's daemons and munge's. Ports, keys and sockets are its own, so that it meets no other Slurm or munge
of the machine. Every daemon is a child in the foreground: those are stopped in the end, and nothing else is.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sinfo", "sbatch", "srun", "squeue", "scontrol", "scancel")
NODES = ("n1", "n2")
WAIT = 60.0  # seconds for a daemon to answer, nodes to be idle, or jobs to leave
LOOK = 0.2

# No cgroups; config_overrides lets few cores be declared as many; a requeued job waits for its credential to expire,
# which takes two minutes by default; preempt_send_user_signal lets submitit's handler see a preemption.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
MessageTimeout=10
KillWait=1
ReturnToService=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
MpiDefault=none
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000 Gres=gpu:fake:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000 Gres=gpu:fake:2
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 DefMemPerCPU=500 PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=urgent Nodes=n1,n2 MaxTime=60 DefMemPerCPU=500 PriorityTier=10 PreemptMode=OFF
"""
GPUS = """
NodeName=n1 Name=gpu Type=fake File={folder}/gpu[0-1]
NodeName=n2 Name=gpu Type=fake File={folder}/gpu[2-3]
"""


def lacking() -> str:
    """Why there can be no cluster here; empty where there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    found = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(found)} (apt-get install slurm-wlm munge)" if found else ""


class Cluster:
    """Slurm's commands, asked of this cluster.

    Args:
        environment: what makes any Slurm command talk to it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def ask(self, *command: str) -> str:
        """What a command prints; fails where it does."""
        env = {**os.environ, **self.environment}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=WAIT, check=True).stdout

    def idle(self) -> bool:
        """Whether every node is up and free."""
        states = self.ask("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T").split("\n")
        return [line.split() for line in states if line] == [[node, "idle"] for node in NODES]

    def jobs(self, partition: str, state: str) -> list[str]:
        """The jobs of a partition that are in a state."""
        return self.ask("squeue", "--noheader", f"--partition={partition}", f"--states={state}", "--format=%i").split()

    def clear(self) -> None:
        """Bring all nodes back and all jobs to an end."""
        self.ask("scancel", "--user=root")
        for node in NODES:
            state = self.ask("sinfo", "--noheader", f"--nodes={node}", "--partition=main", "--format=%T")
            if state.startswith(("down", "drain")):
                self.ask("scontrol", "update", f"nodename={node}", "state=resume")
        until("all nodes are idle", self.idle)


def until(what: str, true: Callable[[], bool], seconds: float = WAIT) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"in {seconds:.0f} s it did not come about that {what}"
        time.sleep(LOOK)


@contextmanager
def running() -> Iterator[Cluster]:
    """A cluster with idle nodes; it is stopped behind the block."""
    with tempfile.TemporaryDirectory(prefix="postern-slurm-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # munge wants its socket to be open to everybody
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o400)
        (folder / "state").mkdir()
        for number in range(4):
            (folder / f"gpu{number}").symlink_to("/dev/null")
        settings = {"folder": folder, "host": socket.gethostname().split(".")[0], "ports": free_ports(3)}
        (folder / "slurm.conf").write_text(CONFIG.format(**settings))
        (folder / "gres.conf").write_text(GPUS.format(**settings))
        environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        cluster = Cluster(environment)

        def start(*command: str) -> None:
            stack.enter_context(child(command, folder / "daemons.log", environment))

        files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        start("munged", "--foreground", f"--socket={folder}/munge.socket", *files)
        until("munge answers", lambda: (folder / "munge.socket").exists())
        start("slurmctld", "-D", "-c")
        for node in NODES:
            start("slurmd", "-D", "-c", "-N", node)
        until("Slurm answers", lambda: succeeds(cluster.idle))
        stack.callback(cluster.clear)
        yield cluster


@contextmanager
def child(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A process that is stopped behind the block."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def succeeds(question: Callable[[], bool]) -> bool:
    """The answer, or False where there is none yet."""
    try:
        return question()
    except subprocess.CalledProcessError:
        return False
