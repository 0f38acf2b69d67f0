"""Child processes for environments that block or are not thread-safe: one small protocol on stdio."""

from harness.worker.frames import FRAME_CAP, FrameError
from harness.worker.launch import Launch
from harness.worker.pool import Lease, PoolSpec, WorkerPool
from harness.worker.worker import RemoteError, Worker

__all__ = ["FRAME_CAP", "FrameError", "Launch", "Lease", "PoolSpec", "RemoteError", "Worker", "WorkerPool"]
