"""The frame: everything that is the same for all workloads.

`command` is the parent process: it reads the options, starts one child per measurement, prints and writes. `worker` is
the child: it runs one workload under one setting of threads. `measuring` alternates the contenders, `checking` holds
their answers against the reference, `workload` says how a workload is declared.
"""
