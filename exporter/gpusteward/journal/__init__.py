"""The journal: usage that outlives the process, and the checkpoint that a restart goes on from.

Belongs here: the frames of its files, the files and their rotation, the documents in them, what is written
when, and what is read back. Must not: meter, judge, price or serve HTTP.
"""

from gpusteward.journal.checkpoint import Identity, boot_id
from gpusteward.journal.disk import Disk
from gpusteward.journal.log import UsageLog
from gpusteward.journal.recorder import Recorder
from gpusteward.journal.usage import UsageDocument, usage_document

__all__ = [
    "Disk",
    "Identity",
    "Recorder",
    "UsageDocument",
    "UsageLog",
    "boot_id",
    "usage_document",
]
