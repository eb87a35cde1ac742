"""The nvml source: the NVIDIA driver's own library, asked from a child process that can be killed.

    source ── child ══ frames, pipes ══ worker ── sweep ── board ── {calls, fields, gpm, listing}
      └─ readings, holders, suspects      └─ library  └─ events

Left of the pipes is the agent's process, which never loads NVML: a call into a wedged driver may not
return, and a library mapped before a driver upgrade stays wrong for as long as its process lives. Right of
them is the worker, which imports only what it needs (this file imports nothing for its sake).
"""
